# What infra/deploy --import does: it imports resources that outlived their stack into a new one. See infra/README.md.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2016 # infra/deploy sets the variables used here; bash must not expand what awk and templates expand

# import_stack imports the resources that an earlier stack of this name left behind, if there are any and the stack does not
# exist. The update that follows adds the rest of the template.
import_stack() {
	local stack=$1 template ids='' entries='' id type property name
	if ! $import; then return; fi
	look "$stack"
	if stack_exists "$stack"; then return; fi
	template=$(template_of "$stack")
	while read -r id type property name; do
		name=${name//'${Project}'/$project}
		name=${name//'${Stage}'/$stage}
		name=${name//'${AWS::AccountId}'/$account}
		name=${name//'${AWS::Region}'/$region}
		if ! is_there "$type" "$name"; then continue; fi
		ids+=" $id "
		entries+="${entries:+,}{\"ResourceType\":\"$type\",\"LogicalResourceId\":\"$id\",\"ResourceIdentifier\":{\"$property\":\"$name\"}}"
		if [[ $type == AWS::Kinesis::Stream ]]; then take_settings "$name"; fi
	done < <(kept_resources "$template")
	if [[ -z $ids ]]; then return; fi
	say "import into $(stack_name "$stack")"
	import_template "$template" "$ids" >"$work/import.yml"
	echo "[$entries]" >"$work/import.json"
	change_stack "$stack" IMPORT "$work/import.yml" --resources-to-import "file://$work/import.json"
	if $dry_run; then
		echo "  the rest can only be shown once this is imported"
		exit
	fi
}

# kept_resources lists the resources of a template that outlive their stack: logical id, type, the property that identifies
# the resource, and its name as written in the template.
kept_resources() {
	awk '
		/^[^ #]/ {section = $1}
		section == "Resources:" && /^  [A-Za-z0-9]+:$/ {id = $1; sub(/:$/, "", id); kept = 0}
		/^    Type: / {type = $2}
		/^    DeletionPolicy: .*RetainExceptOnCreate/ {kept = 1}
		kept && /^      (BucketName|Name|TableName): !Sub / {sub(/:$/, "", $1); print id, type, $1, $3}
	' "$1"
}

# is_there succeeds if a resource of a type and name exists, and fails if AWS answers that it does not. Any other answer ends
# the script.
is_there() {
	local call=()
	case $1 in
	AWS::S3::Bucket) call=(s3api head-bucket --bucket "$2") ;;
	AWS::Kinesis::Stream) call=(kinesis describe-stream-summary --stream-name "$2") ;;
	AWS::DynamoDB::Table) call=(dynamodb describe-table --table-name "$2") ;;
	*) fail "$1 $2: infra/import.sh cannot look up resources of this type" ;;
	esac
	if aws "${call[@]}" >/dev/null 2>"$work/refused"; then return; fi
	grep -qE '404|ResourceNotFoundException' "$work/refused" || fail "look for $1 $2: $(<"$work/refused")"
	return 1
}

# take_settings sets a stream's parameters from the stream itself, unless they were given: the old stack's are lost.
take_settings() {
	local settings mode shards hours
	settings=$(stream_settings "$1")
	IFS=$'\t' read -r mode shards hours <<<"$settings"
	set[StreamMode]=${set[StreamMode]:-$mode}
	if [[ $mode == PROVISIONED ]]; then set[ShardCount]=${set[ShardCount]:-$shards}; fi
	set[RetentionHours]=${set[RetentionHours]:-$hours}
}

# import_template prints the part of a template that an import may contain: some of its resources, and the conditions and
# parameters that they use. CloudFormation rejects outputs and other resources (CloudFormation User Guide, "Import AWS resources
# into a CloudFormation stack"). Without a function in the policies, the transform is not needed.
import_template() {
	awk -v ids="$2" '
		function flush() {
			if (name != "") {text[section, name] = block; order[section] = order[section] " " name}
			name = block = ""
		}
		# used is true if what is kept so far names a parameter or condition, rather than a type such as AWS::DynamoDB::Table.
		function used(word) {return all ~ ("[^A-Za-z0-9:]" word "[^A-Za-z0-9]")}
		function keep(section, resources,    names, count, i, out) {
			count = split(order[section], names, " ")
			for (i = 1; i <= count; i++)
				if (resources ? index(ids, " " names[i] " ") : used(names[i])) out = out text[section, names[i]]
			all = all out
			return out == "" ? "" : section ":\n" out
		}
		/^[^ #]/ {flush(); section = $1; sub(/:.*/, "", section); if (section == "AWSTemplateFormatVersion") print; next}
		/^  [A-Za-z0-9]+:/ {flush(); name = $1; sub(/:$/, "", name)}
		/^ *(#.*)?$/ {next}
		{
			sub(/!If \[IsProd, RetainExceptOnCreate, Delete\]/, "RetainExceptOnCreate")
			sub(/!If \[IsProd, Retain, Delete\]/, "Retain")
			block = block $0 "\n"
		}
		END {
			flush()
			resources = keep("Resources", 1)
			conditions = keep("Conditions", 0)
			printf "%s%s%s", keep("Parameters", 0), conditions, resources
		}
	' "$1"
}
