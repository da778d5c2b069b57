package consumer

import "aws-streaming-pipeline/internal/settings"

// BucketConfig sets where files go, and how they are uploaded.
//
// The pattern of BUCKET rejects URLs and paths, the usual mistakes; further rules are left to the store: Ceph's buckets are named
// tenant:bucket (Ceph Object Gateway, "RGW Multi-tenancy"). The ARN of an access point is valid as a bucket (Amazon S3 User
// Guide, "Access points").
type BucketConfig struct {
	Bucket            string `envconfig:"BUCKET" required:"true" pattern:"^[^/\\s]+$|^arn:[^/]+[:/].+$" form:"the name of a bucket, without s3:// and without a key" desc:"Name of the S3 bucket to write to."`
	Encryption        string `envconfig:"S3_ENCRYPTION" default:"none" oneof:"none,AES256,aws:kms" desc:"Server-side encryption to request: none (the bucket's default applies), AES256 or aws:kms."`
	KMSKey            string `envconfig:"S3_KMS_KEY_ID" desc:"KMS key for S3_ENCRYPTION=aws:kms. Default: the account's default key for S3."`
	PathStyle         bool   `envconfig:"S3_PATH_STYLE" default:"false" desc:"Addresses the bucket by path rather than by host name, for S3-compatible stores."`
	PartSize          Bytes  `envconfig:"PART_SIZE" default:"8MiB" min:"5MiB" max:"5GiB" desc:"Size of the parts of a multipart upload."`
	UploadConcurrency int    `envconfig:"UPLOAD_CONCURRENCY" default:"8" min:"1" max:"256" desc:"Number of parts uploaded at the same time."`
}

func (c *BucketConfig) check(f *settings.Faults) {
	if f.Sound("S3_ENCRYPTION") {
		f.Check(c.KMSKey == "" || c.Encryption == "aws:kms", "S3_KMS_KEY_ID", "nothing unless S3_ENCRYPTION=aws:kms")
	}
}
