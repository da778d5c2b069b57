# The daemon on Fargate for a stream and a bucket that exist, in Terraform or OpenTofu. See docs/bring-your-own.md.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "image" {
  type    = string
  default = "ghcr.io/OWNER/aws-streaming-pipeline:1.0.0"
}

variable "subnets" {
  type = list(string)
}

variable "security_groups" {
  type = list(string)
}

# The ECS task execution role of the account, which pulls the image and writes the log.
variable "execution_role_arn" {
  type = string
}

locals {
  region = "eu-west-1"
  # docs/settings.md has them all.
  settings = {
    STREAM_NAME             = "taxi-trips"
    BUCKET                  = "my-bucket"
    APPLICATION_NAME        = "trips-to-s3"
    CHECKPOINT_TABLE        = "trips-to-s3"
    CHECKPOINT_TABLE_CREATE = "false"
    AWS_REGION              = "eu-west-1"
  }
}

resource "aws_dynamodb_table" "checkpoints" {
  name                        = local.settings.CHECKPOINT_TABLE
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "leaseKey"
  deletion_protection_enabled = true

  attribute {
    name = "leaseKey"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Parts of files that a dead worker left behind. A bucket has one such configuration: add the rule to yours if there is one.
resource "aws_s3_bucket_lifecycle_configuration" "files" {
  bucket = local.settings.BUCKET

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_iam_role" "consumer" {
  name = "trips-to-s3"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

# consumer policy --account 123456789012 --region eu-west-1 >consumer.json, with the settings above in the environment
resource "aws_iam_role_policy" "consumer" {
  name   = "consumer"
  role   = aws_iam_role.consumer.id
  policy = file("${path.module}/consumer.json")
}

resource "aws_cloudwatch_log_group" "consumer" {
  name              = "/trips-to-s3"
  retention_in_days = 30
}

resource "aws_ecs_cluster" "consumer" {
  name = "trips-to-s3"
}

resource "aws_ecs_task_definition" "consumer" {
  family                   = "trips-to-s3"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "1024"
  memory                   = "2048"
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = aws_iam_role.consumer.arn

  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name        = "consumer"
    image       = var.image
    essential   = true
    user        = "65532:65532"
    stopTimeout = 120
    environment = [for name, value in local.settings : { name = name, value = value }]
    healthCheck = { command = ["CMD", "/usr/local/bin/consumer", "probe"], startPeriod = 300 }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.consumer.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "consumer"
      }
    }
  }])
}

resource "aws_ecs_service" "consumer" {
  name            = "consumer"
  cluster         = aws_ecs_cluster.consumer.id
  task_definition = aws_ecs_task_definition.consumer.arn
  launch_type     = "FARGATE"
  desired_count   = 1

  network_configuration {
    subnets         = var.subnets
    security_groups = var.security_groups
  }

  # Workers need both from their start to the end of their shutdown, in which they commit what they have read.
  depends_on = [aws_dynamodb_table.checkpoints, aws_iam_role_policy.consumer]
}
