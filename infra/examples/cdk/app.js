// The daemon on Fargate for a stream and a network that exist, with the AWS CDK. See docs/bring-your-own.md.
//
//   npm install aws-cdk-lib constructs
//   npx aws-cdk deploy --app "node app.js"
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { App, Duration, RemovalPolicy, Stack } = require("aws-cdk-lib");
const dynamodb = require("aws-cdk-lib/aws-dynamodb");
const ec2 = require("aws-cdk-lib/aws-ec2");
const ecs = require("aws-cdk-lib/aws-ecs");
const iam = require("aws-cdk-lib/aws-iam");
const logs = require("aws-cdk-lib/aws-logs");
const s3 = require("aws-cdk-lib/aws-s3");

const image = "ghcr.io/OWNER/aws-streaming-pipeline:1.0.0";
const region = "eu-west-1";
const account = "123456789012";

// docs/settings.md has them all.
const settings = {
  STREAM_NAME: "taxi-trips",
  BUCKET: "my-bucket",
  APPLICATION_NAME: "trips-to-s3",
  CHECKPOINT_TABLE: "trips-to-s3",
  CHECKPOINT_TABLE_CREATE: "false",
  AWS_REGION: region,
};

const stack = new Stack(new App(), "trips-to-s3", { env: { account, region } });

new dynamodb.Table(stack, "Checkpoints", {
  tableName: settings.CHECKPOINT_TABLE,
  partitionKey: { name: "leaseKey", type: dynamodb.AttributeType.STRING },
  billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
  pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
  deletionProtection: true,
  removalPolicy: RemovalPolicy.RETAIN,
});

// The rule aborts parts of files that a dead worker left behind. If you have a bucket, add the rule to it and leave this out.
new s3.Bucket(stack, "Files", {
  bucketName: settings.BUCKET,
  blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
  enforceSSL: true,
  lifecycleRules: [{ id: "abort-incomplete-uploads", abortIncompleteMultipartUploadAfter: Duration.days(7) }],
  removalPolicy: RemovalPolicy.RETAIN,
});

// consumer policy --account 123456789012 --region eu-west-1 >consumer.json, with the settings above in the environment
const policy = JSON.parse(readFileSync(join(__dirname, "consumer.json"), "utf8"));

const task = new ecs.FargateTaskDefinition(stack, "Task", {
  family: "trips-to-s3",
  cpu: 1024,
  memoryLimitMiB: 2048,
  runtimePlatform: { cpuArchitecture: ecs.CpuArchitecture.ARM64, operatingSystemFamily: ecs.OperatingSystemFamily.LINUX },
  taskRole: new iam.Role(stack, "Consumer", {
    assumedBy: new iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
    inlinePolicies: { consumer: iam.PolicyDocument.fromJson(policy) },
  }),
});
task.addContainer("consumer", {
  image: ecs.ContainerImage.fromRegistry(image),
  user: "65532:65532",
  stopTimeout: Duration.seconds(120),
  environment: settings,
  healthCheck: { command: ["CMD", "/usr/local/bin/consumer", "probe"], startPeriod: Duration.seconds(300) },
  logging: ecs.LogDrivers.awsLogs({
    streamPrefix: "consumer",
    logGroup: new logs.LogGroup(stack, "Log", { logGroupName: "/trips-to-s3", retention: logs.RetentionDays.ONE_MONTH }),
  }),
});

const vpc = ec2.Vpc.fromVpcAttributes(stack, "Network", {
  vpcId: "vpc-0123456789abcdef0",
  availabilityZones: ["eu-west-1a", "eu-west-1b"],
  privateSubnetIds: ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
});
new ecs.FargateService(stack, "Service", {
  serviceName: "consumer",
  cluster: new ecs.Cluster(stack, "Cluster", { clusterName: "trips-to-s3", vpc }),
  taskDefinition: task,
  desiredCount: 1,
  minHealthyPercent: 100,
  circuitBreaker: { rollback: true },
});
