"""The moto server with what its CloudFormation lacks for the stacks of this folder.

moto 5.2.5 leaves out resources whose type it does not know, properties of those that it knows, and outputs, exports and
events of what a change set makes. Here such types are made by calls of the services' own APIs at this server, whose parameters botocore checks
against the models that AWS publishes; so a property that the service does not have is a failure. CloudFormation's own
rules for properties are the business of the linters.

moto does not roll a creation back, imports nothing, and ignores deletion policies, deletion protection and the protection of stacks.
Here they are as the CloudFormation User Guide has them.
"""

import json
import re
import sys

import boto3
from botocore.exceptions import ClientError
from moto.cloudformation import models as stacks
from moto.cloudformation import parsing
from moto.cloudformation import responses
from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.server import main

port = sys.argv[sys.argv.index("-p") + 1]


def client(service, region):
    return boto3.client(
        service, region_name=region, endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="local", aws_secret_access_key="localsecret",
    )


def fit(shape, value):
    """Brings CloudFormation's values, in which numbers and truths may be strings, to the types of the API."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        return {k: fit(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
    if kind == "list" and isinstance(value, list):
        return [fit(shape.member, v) for v in value]
    if kind == "map" and isinstance(value, dict):
        return {k: fit(shape.value, v) for k, v in value.items()}
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind in ("double", "float") and isinstance(value, str):
        return float(value)
    if kind == "boolean" and isinstance(value, str):
        return value == "true"
    if kind == "string" and isinstance(value, (int, float)):
        return str(value).lower()
    return value


def call(service, operation, region, parameters):
    c = client(service, region)
    shape = c.meta.service_model.operation_model(c.meta.method_to_api_mapping[operation]).input_shape
    return getattr(c, operation)(**fit(shape, parameters))


class Made(CloudFormationModel):
    """A resource that a call of its service has made."""

    __module__ = "moto.stacks"  # moto takes the service from it
    service = create = delete_operation = ""
    attributes = ()
    remake = False  # an update is a deletion and a creation; otherwise creating replaces

    @staticmethod
    def parameters(properties):
        return properties

    @staticmethod
    def reference(properties, answer):
        """What Ref gives."""
        raise NotImplementedError

    @staticmethod
    def removal(reference, properties):
        return None

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr in cls.attributes

    def get_cfn_attribute(self, name):
        return self.values[name]

    def is_created(self):
        return True

    @property
    def physical_resource_id(self):
        return self.id

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        answer = call(cls.service, cls.create, region_name, cls.parameters(dict(properties)))
        made = cls()
        made.properties = properties
        made.id = cls.reference(properties, answer)
        made.values = cls.attribute_values(made.id, answer, region_name)
        return made

    @classmethod
    def attribute_values(cls, reference, answer, region):
        return {}

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
        if cls.remake:
            original_resource.delete(account_id, region_name)
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    def delete(self, account_id, region_name):
        wanted = self.removal(self.id, self.properties)
        if wanted is None:
            return
        try:
            call(self.service, self.delete_operation, region_name, wanted)
        except ClientError as refused:
            # moto deletes in any order, so a resource may have gone with what it was a part of.
            if not re.search("NotFound|NoSuch", refused.response["Error"]["Code"]):
                raise


def without(properties, *names):
    return {k: v for k, v in properties.items() if k not in names}


def described(kind, **members):
    """Registers a type."""
    members = {k: staticmethod(v) if callable(v) and not isinstance(v, classmethod) else v for k, v in members.items()}
    members["__module__"] = "moto.stacks"
    members["cloudformation_type"] = staticmethod(lambda: kind)
    members["cloudformation_name_type"] = staticmethod(lambda: "")
    known[kind] = type(Made)(kind.replace(":", ""), (Made,), members)


known = {}

described(
    "AWS::KinesisFirehose::DeliveryStream", service="firehose", create="create_delivery_stream",
    delete_operation="delete_delivery_stream", attributes=("Arn",), remake=True,
    parameters=lambda p: p,
    reference=lambda p, answer: p["DeliveryStreamName"],
    removal=lambda ref, p: {"DeliveryStreamName": ref},
    attribute_values=classmethod(lambda cls, ref, answer, region: {"Arn": answer["DeliveryStreamARN"]}),
)
described(
    "AWS::CloudWatch::Alarm", service="cloudwatch", create="put_metric_alarm", delete_operation="delete_alarms",
    attributes=("Arn",),
    parameters=lambda p: p,
    reference=lambda p, answer: p["AlarmName"],
    removal=lambda ref, p: {"AlarmNames": [ref]},
    attribute_values=classmethod(lambda cls, ref, answer, region: {"Arn": f"arn:aws:cloudwatch:{region}:123456789012:alarm:{ref}"}),
)
described(
    "AWS::Glue::Database", service="glue", create="create_database", delete_operation="delete_database", remake=True,
    parameters=lambda p: p,
    reference=lambda p, answer: p["DatabaseInput"]["Name"],
    removal=lambda ref, p: {"Name": ref},
)
described(
    "AWS::Glue::Table", service="glue", create="create_table", delete_operation="delete_table", remake=True,
    parameters=lambda p: p,
    reference=lambda p, answer: p["TableInput"]["Name"],
    removal=lambda ref, p: {"DatabaseName": p["DatabaseName"], "Name": ref},
)
described(
    "AWS::Athena::WorkGroup", service="athena", create="create_work_group", delete_operation="delete_work_group", remake=True,
    # State and deletion are properties of the resource, not of the call that makes it.
    parameters=lambda p: {
        "Configuration": p["WorkGroupConfiguration"], **without(p, "WorkGroupConfiguration", "State", "RecursiveDeleteOption"),
    },
    reference=lambda p, answer: p["Name"],
    removal=lambda ref, p: {"WorkGroup": ref},
)
described(
    "AWS::Athena::NamedQuery", service="athena", create="create_named_query", delete_operation="delete_named_query", remake=True,
    parameters=lambda p: p,
    reference=lambda p, answer: answer["NamedQueryId"],
    # moto has no call that deletes one.
    removal=lambda ref, p: None,
)
described(
    # moto applies a Deny without looking at its condition, so the policy is not put; the bucket has to be there.
    "AWS::S3::BucketPolicy", service="s3", create="get_bucket_location",
    parameters=lambda p: {"Bucket": p["Bucket"]},
    reference=lambda p, answer: p["Bucket"],
)
described(
    "AWS::SNS::TopicPolicy", service="sns", create="set_topic_attributes",
    parameters=lambda p: {
        "TopicArn": p["Topics"][0], "AttributeName": "Policy", "AttributeValue": json.dumps(p["PolicyDocument"]),
    },
    reference=lambda p, answer: p["Topics"][0] + "-policy",
)
described(
    "AWS::SNS::Subscription", service="sns", create="subscribe", delete_operation="unsubscribe", remake=True,
    parameters=lambda p: p,
    reference=lambda p, answer: answer["SubscriptionArn"],
    removal=lambda ref, p: {"SubscriptionArn": ref},
)
described(
    "AWS::Logs::LogStream", service="logs", create="create_log_stream", remake=True,  # it goes with its group
    parameters=lambda p: {k[0].lower() + k[1:]: v for k, v in p.items()},
    reference=lambda p, answer: p["LogStreamName"],
)
described(
    "AWS::ApplicationAutoScaling::ScalableTarget", service="application-autoscaling", create="register_scalable_target",
    delete_operation="deregister_scalable_target",
    parameters=lambda p: p,
    # As the service has it, which the policies take apart again.
    reference=lambda p, answer: "|".join((p["ResourceId"], p["ScalableDimension"], p["ServiceNamespace"])),
    removal=lambda ref, p: {k: p[k] for k in ("ResourceId", "ScalableDimension", "ServiceNamespace")},
)


def policy(p):
    target = dict(zip(("ResourceId", "ScalableDimension", "ServiceNamespace"), p["ScalingTargetId"].split("|")))
    return {**without(p, "ScalingTargetId"), **target}


described(
    "AWS::ApplicationAutoScaling::ScalingPolicy", service="application-autoscaling", create="put_scaling_policy",
    delete_operation="delete_scaling_policy",
    parameters=policy,
    reference=lambda p, answer: answer["PolicyARN"],
    removal=lambda ref, p: without(policy(p), "PolicyType", "StepScalingPolicyConfiguration"),
)

# Types that moto knows, of which it leaves properties out.


def lower(value):
    """The names of ECS's API, which begin in lower case. An element of a list that is AWS::NoValue is not there."""
    if isinstance(value, dict):
        return {k[0].lower() + k[1:]: lower(v) for k, v in value.items()}
    return [lower(v) for v in value if v is not None] if isinstance(value, list) else value


def tagged(p):
    """Tags as Lambda's API has them."""
    return {**p, "Tags": {t["Key"]: t["Value"] for t in p["Tags"]}}


def rule(r):
    """A lifecycle rule as S3's API has it."""
    r = {"Filter": {"Prefix": ""}, **r, "ID": r["Id"]}
    if "ExpirationInDays" in r:
        r["Expiration"] = {"Days": r["ExpirationInDays"]}
    return without(r, "Id", "ExpirationInDays")


class Named(Made):
    """A resource that is known by a name among its properties, and may be there before its stack."""

    __module__ = "moto.stacks"
    kind = name_property = arn = look = ""
    attributes = ("Arn",)

    @classmethod
    def cloudformation_type(cls):
        return cls.kind

    @classmethod
    def cloudformation_name_type(cls):
        return cls.name_property

    @classmethod
    def of(cls, properties, region):
        """The resource of these properties, which is there already."""
        made = cls()
        made.properties, made.id = properties, properties[cls.name_property]
        made.values = {"Arn": cls.arn.format(region=region, name=made.id)}
        return made

    @classmethod
    def adopt(cls, properties, region):
        """Takes a resource that is there into a stack, and changes nothing of it."""
        made = cls.of(properties, region)
        call(cls.service, cls.look, region, made.name())
        return made

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        made = cls.of(cloudformation_json["Properties"], region_name)
        made.make(region_name)
        return made

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
        made = cls.of(cloudformation_json["Properties"], region_name)
        made.change(region_name)
        return made

    def name(self):
        """The parameter by which the service's calls name it."""
        return {{"Name": "StreamName", "BucketName": "Bucket"}.get(self.name_property, self.name_property): self.id}

    def delete(self, account_id, region_name):
        call(self.service, self.delete_operation, region_name, self.name())


class Bucket(Named):
    __module__ = "moto.stacks"
    kind, name_property, arn = "AWS::S3::Bucket", "BucketName", "arn:aws:s3:::{name}"
    service, look, delete_operation = "s3", "head_bucket", "delete_bucket"

    def make(self, region):
        call("s3", "create_bucket", region, {**self.name(), "CreateBucketConfiguration": {"LocationConstraint": region}})
        self.change(region)

    def change(self, region):
        p = self.properties
        for operation, parameters in {
            "put_bucket_encryption": {"ServerSideEncryptionConfiguration": {"Rules": [
                {"ApplyServerSideEncryptionByDefault": r["ServerSideEncryptionByDefault"]}
                for r in p["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            ]}},
            "put_bucket_ownership_controls": {"OwnershipControls": p["OwnershipControls"]},
            "put_public_access_block": {"PublicAccessBlockConfiguration": p["PublicAccessBlockConfiguration"]},
            "put_bucket_versioning": {"VersioningConfiguration": p.get("VersioningConfiguration")},
            "put_bucket_lifecycle_configuration": {"LifecycleConfiguration": {"Rules": [rule(r) for r in p["LifecycleConfiguration"]["Rules"]]}},
            "put_bucket_tagging": {"Tagging": {"TagSet": p["Tags"]}},
        }.items():
            if None not in parameters.values():
                call("s3", operation, region, {**self.name(), **parameters})


class Stream(Named):
    __module__ = "moto.stacks"
    kind, name_property, arn = "AWS::Kinesis::Stream", "Name", "arn:aws:kinesis:{region}:123456789012:stream/{name}"
    service, look, delete_operation = "kinesis", "describe_stream_summary", "delete_stream"

    def make(self, region):
        call("kinesis", "create_stream", region, {
            **self.name(), **{k: v for k, v in self.properties.items() if k in ("ShardCount", "StreamModeDetails")},
        })
        self.change(region)

    def change(self, region):
        """Brings the stream to what the properties say, however it came to be another way. What CloudFormation's handler
        calls and what it compares is not said; its schema lists DescribeStreamSummary and UpdateShardCount for updates."""
        p = self.properties
        now = call("kinesis", "describe_stream_summary", region, self.name())["StreamDescriptionSummary"]
        hours = int(p["RetentionPeriodHours"]) - now["RetentionPeriodHours"]
        if hours:
            operation = "increase_stream_retention_period" if hours > 0 else "decrease_stream_retention_period"
            call("kinesis", operation, region, {**self.name(), "RetentionPeriodHours": p["RetentionPeriodHours"]})
        if "ShardCount" in p and int(p["ShardCount"]) != now["OpenShardCount"]:
            call("kinesis", "update_shard_count", region, {
                **self.name(), "TargetShardCount": p["ShardCount"], "ScalingType": "UNIFORM_SCALING",
            })
        call("kinesis", "add_tags_to_stream", region, {**self.name(), "Tags": {t["Key"]: t["Value"] for t in p["Tags"]}})


class Table(Named):
    __module__ = "moto.stacks"
    kind, name_property, arn = "AWS::DynamoDB::Table", "TableName", "arn:aws:dynamodb:{region}:123456789012:table/{name}"
    service, look, delete_operation = "dynamodb", "describe_table", "delete_table"

    def make(self, region):
        p = without(self.properties, "PointInTimeRecoverySpecification")
        call("dynamodb", "create_table", region, {**p, "SSESpecification": {"Enabled": p["SSESpecification"]["SSEEnabled"]}})

    def change(self, region):
        call("dynamodb", "update_table", region, {
            **self.name(), "DeletionProtectionEnabled": self.properties["DeletionProtectionEnabled"],
        })


for named in (Bucket, Stream, Table):
    known[named.kind] = named

described(
    "AWS::ECS::Cluster", service="ecs", create="create_cluster", delete_operation="delete_cluster", attributes=("Arn",),
    parameters=lower,
    reference=lambda p, answer: answer["cluster"]["clusterName"],
    removal=lambda ref, p: {"cluster": ref},
)
described(
    "AWS::ECS::TaskDefinition", service="ecs", create="register_task_definition", delete_operation="deregister_task_definition",
    parameters=lower,
    reference=lambda p, answer: answer["taskDefinition"]["taskDefinitionArn"],
    removal=lambda ref, p: {"taskDefinition": ref},
)
described(
    "AWS::ECS::Service", service="ecs", create="create_service", delete_operation="delete_service", attributes=("Name",), remake=True,
    parameters=lambda p: {"desiredCount": 1, **lower(p)},  # CloudFormation's default for a service that is new
    reference=lambda p, answer: answer["service"]["serviceArn"],
    removal=lambda ref, p: {"cluster": p["Cluster"], "service": ref, "force": True},
    attribute_values=classmethod(lambda cls, ref, answer, region: {"Name": answer["service"]["serviceName"]}),
)
described(
    "AWS::Lambda::Function", service="lambda", create="create_function", delete_operation="delete_function", attributes=("Arn",), remake=True,
    parameters=tagged,
    reference=lambda p, answer: answer["FunctionName"],
    removal=lambda ref, p: {"FunctionName": ref},
    attribute_values=classmethod(lambda cls, ref, answer, region: {"Arn": answer["FunctionArn"]}),
)
described(
    "AWS::Lambda::EventSourceMapping", service="lambda", create="create_event_source_mapping",
    delete_operation="delete_event_source_mapping", remake=True,
    parameters=tagged,
    reference=lambda p, answer: answer["UUID"],
    removal=lambda ref, p: {"UUID": ref},
)

parsing.get_model_map().update(known)


class Refused(Exception):
    """A resource that can not be made, and why."""


importing = False


def create(logical_id, resource_json, resources_map, account_id, region_name, made=parsing.parse_and_create_resource):
    try:
        if not importing:
            return made(logical_id, resource_json, resources_map, account_id, region_name)
        kind, cleaned, _ = parsing.parse_resource_and_generate_name(logical_id, resource_json, resources_map)
        adopted = kind.adopt(cleaned["Properties"], region_name)
    except Refused:
        raise  # of a resource that this one refers to
    except Exception as why:
        raise Refused(logical_id, resource_json["Type"], str(why)) from why
    adopted.cf_resource_type, adopted.logical_resource_id = resource_json["Type"], logical_id
    return adopted


parsing.parse_and_create_resource = create


def update(logical_id, resource_json, resources_map, account_id, region_name, changed=parsing.parse_and_update_resource):
    """Updates what has a condition, too, which moto takes for true."""
    condition = resource_json.get("Condition")
    if condition and not resources_map.lazy_condition_map[condition]:
        return None
    if resources_map[logical_id] is None:
        return create(logical_id, resource_json, resources_map, account_id, region_name)
    return changed(logical_id, resource_json, resources_map, account_id, region_name)


parsing.parse_and_update_resource = update

# A change set without changes fails when it is described, not when it is asked for (CloudFormation API Reference,
# DescribeChangeSet); moto has that, too, behind a refusal that only UpdateStack has.
responses.CloudFormationResponse._validate_different_update = lambda *arguments: None


def values(stack):
    """The parameters of a stack as they are given. Those left at their defaults have not changed when they are named."""
    resolved = stack.resource_map.resolved_parameters
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in resolved.items()}


def diff(self):
    """The changes of a change set; moto leaves out those that only a parameter makes."""
    resources = self.stack.resource_map
    resources.input_parameters = values(self.stack)
    parameters = {k: ",".join(v) if isinstance(v, list) else v for k, v in self.parameters.items()}
    self.parameters = parameters
    types = {**self.stack.template_dict.get("Resources", {}), **self.template_dict["Resources"]}
    return [
        stacks.Change(action="Import" if self.change_set_type == "IMPORT" else action, logical_resource_id=name, resource_type=types[name]["Type"])
        for action, names in resources.build_resource_diff(self.template_dict, parameters).items()
        for name in names
    ]


stacks.ChangeSet.diff = diff
stacks.Stack.has_parameters = lambda self, other: values(self) == {
    k: ",".join(v) if isinstance(v, list) else v for k, v in other.items()
}

def check_import(self):
    """The rules of an import (CloudFormation User Guide, "Import AWS resources into a CloudFormation stack")."""
    template = stacks.Stack.parse_template(self._get_param("TemplateBody"))
    named = {r["LogicalResourceId"]: r for r in self._get_param("ResourcesToImport", [])}
    if set(named) != set(template["Resources"]):
        raise ValidationError(message="As part of the import operation, you cannot modify or add resources")
    if "Outputs" in template:
        raise ValidationError(message="As part of the import operation, you cannot modify or add [Outputs]")
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in self._get_param("Parameters", [])}
    if set(parameters) - set(template["Parameters"]):
        raise ValidationError(message=f"Parameters: {sorted(set(parameters) - set(template['Parameters']))} do not exist in the template")
    for name, resource in template["Resources"].items():
        if not isinstance(resource.get("DeletionPolicy"), str):
            raise ValidationError(message=f"{name} must have DeletionPolicy attribute specified in the template")
        kind = known[resource["Type"]]
        if named[name]["ResourceType"] != resource["Type"] or list(named[name]["ResourceIdentifier"]) != [kind.name_property]:
            raise ValidationError(message=f"{name} is not identified by {kind.name_property}")


def create_change_set(self, created=responses.CloudFormationResponse.create_change_set):
    if self._get_param("ChangeSetType") == "IMPORT":
        check_import(self)
    # A stack that waits for its first change set is the one that the next is for; moto makes another of the same name.
    there = self.cloudformation_backend.stacks
    for stack in [s for s in there.values() if s.name == self._get_param("StackName") and s.status == "REVIEW_IN_PROGRESS"]:
        del there[stack.stack_id]
    return created(self)


responses.CloudFormationResponse.create_change_set = create_change_set


def execute_change_set(self, change_set_name, stack_name=None):
    global importing
    change_set = self.describe_change_set(change_set_name)
    stack = self.stacks[change_set.stack_id]
    kind = change_set.change_set_type
    stack.cross_stack_resources = stack.resource_map.cross_stack_resources = self.exports
    stack.resource_map.input_parameters = values(stack)
    stack._add_stack_event(f"{kind}_IN_PROGRESS")
    importing = kind == "IMPORT"
    try:
        change_set.apply()
    except Refused as why:
        if kind != "CREATE":
            raise
        roll_back(stack, *why.args)
        return
    finally:
        importing = False
    change_set.execution_status = "EXECUTE_COMPLETE"
    stack.template = change_set.template
    stack.parameters = values(stack)
    stack._parse_template()
    stack.output_map = stack._create_output_map()
    for export in stack.exports:
        self.exports[export.name] = export
    for change in change_set.changes:
        event(stack, change.logical_resource_id, change.resource_type, f"{kind}_COMPLETE", None)
    stack.status = f"{kind}_COMPLETE"
    stack._add_stack_event(stack.status)


def roll_back(stack, logical_id, kind, why):
    """Deletes what a creation has made, but for resources whose policy is Retain. RetainExceptOnCreate does not keep them
    (CloudFormation Template Reference, "DeletionPolicy attribute")."""
    event(stack, logical_id, kind, "CREATE_FAILED", why)
    stack.status = "ROLLBACK_COMPLETE"
    keep(stack.resource_map, "Retain")
    try:
        stack.resource_map.delete()
    except Exception as refused:
        event(stack, logical_id, kind, "DELETE_FAILED", str(refused))
        stack.status = "ROLLBACK_FAILED"
    stack._add_stack_event(stack.status)


def keep(resources, *policies):
    """Has resources of these policies stay when the others are deleted. moto knows Retain alone, and no functions."""
    for resource in resources._resource_json_map.values():
        policy = parsing.clean_json(resource.get("DeletionPolicy", "Delete"), resources)
        resource["DeletionPolicy"] = "Retain" if policy in policies else "Delete"


def event(stack, logical_id, kind, status, reason):
    stack.events.append(stacks.Event(
        stack_id=stack.stack_id, stack_name=stack.name, logical_resource_id=logical_id, physical_resource_id="",
        resource_type=kind, resource_status=status, resource_status_reason=reason, resource_properties=None,
    ))


stacks.CloudFormationBackend.execute_change_set = execute_change_set


def delete(self, deleted=stacks.Stack.delete):
    """Deletes a stack. moto makes its resources again when its outputs are asked for afterwards."""
    keep(self.resource_map, "Retain", "RetainExceptOnCreate")
    deleted(self)
    self.output_map = stacks.OutputMap(self.resource_map, {}, self.stack_id)


stacks.Stack.delete = delete


def delete_stack(self, name_or_stack_id, deleted=stacks.CloudFormationBackend.delete_stack):
    for stack in self.stacks.values():
        if name_or_stack_id in (stack.name, stack.stack_id) and stack.enable_termination_protection:
            raise ValidationError(message=f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
    deleted(self, name_or_stack_id)


stacks.CloudFormationBackend.delete_stack = delete_stack


def update_termination_protection(self):
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.enable_termination_protection = self._get_bool_param("EnableTerminationProtection")
    return responses.ActionResult({"StackId": stack.stack_id})


responses.CloudFormationResponse.update_termination_protection = update_termination_protection

main(sys.argv[1:])
