package consumer

import (
	"regexp"
	"strings"

	"aws-streaming-pipeline/internal/settings"
)

// BucketConfig sets where files go, and how they are uploaded.
//
// The pattern of BUCKET is what S3 allows for names of any age (Amazon S3 User Guide, "General purpose bucket naming rules": 3 to 63
// characters of a-z 0-9 . -, and up to 255 with A-Z and _ for old buckets of us-east-1), and Ceph's tenant:bucket (Ceph Object Gateway,
// "RGW Multi-tenancy"). The ARN of an access point is valid as a bucket (Amazon S3 User Guide, "Access points"), that of a bucket is not.
type BucketConfig struct {
	Bucket            string `envconfig:"BUCKET" required:"true" pattern:"^[A-Za-z0-9_.:-]{3,255}$|^arn:[^:]+:s3[a-z-]*:[^:]*:[^:]*:(accesspoint|outpost)[:/].+$" form:"the name of a bucket, which has 3 characters or more, without s3:// and without a key" desc:"Name of the S3 bucket to write to."`
	Encryption        string `envconfig:"S3_ENCRYPTION" default:"none" oneof:"none,AES256,aws:kms" desc:"Server-side encryption to request: none (the bucket's default applies), AES256 or aws:kms."`
	KMSKey            string `envconfig:"S3_KMS_KEY_ID" desc:"KMS key for S3_ENCRYPTION=aws:kms. Default: the account's default key for S3."`
	PathStyle         bool   `envconfig:"S3_PATH_STYLE" default:"false" desc:"Addresses the bucket by path rather than by host name, for S3-compatible stores."`
	PartSize          Bytes  `envconfig:"PART_SIZE" default:"8MiB" min:"5MiB" max:"5GiB" desc:"Size of the parts of a multipart upload."`
	UploadConcurrency int    `envconfig:"UPLOAD_CONCURRENCY" default:"8" min:"1" max:"256" desc:"Number of parts uploaded at the same time."`
}

// A key may be named by its id, ARN or alias (AWS Key Management Service Developer Guide, "Key identifiers"), and in other stores as
// they like.
var (
	kmsARN    = regexp.MustCompile(`^arn:[^:]+:kms:[^:]+:[0-9]{12}:(key|alias)/[^\s]+$`)
	someARN   = regexp.MustCompile(`^arn:`)
	bucketARN = regexp.MustCompile(`^arn:[^:]+:s3:::`)
)

func (c *BucketConfig) check(f *settings.Faults) {
	f.Check(!bucketARN.MatchString(c.Bucket), "BUCKET", "the name of a bucket instead of its ARN")
	if f.Sound("S3_ENCRYPTION") {
		f.Check(!someARN.MatchString(c.KMSKey) && !strings.ContainsAny(c.KMSKey, " \t\n") || kmsARN.MatchString(c.KMSKey), "S3_KMS_KEY_ID",
			"the id, the alias or the ARN of a key, such as alias/files or arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab")
		f.Check(c.KMSKey == "" || c.Encryption == "aws:kms", "S3_KMS_KEY_ID", "nothing unless S3_ENCRYPTION=aws:kms")
	}
}
