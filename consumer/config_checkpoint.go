package consumer

import (
	"regexp"
	"time"

	"aws-streaming-pipeline/internal/settings"
)

// CheckpointConfig sets where leases and checkpoints are stored, and how workers share shards. Where the API of DynamoDB takes the name
// of a table, it takes an ARN, too (API reference, TableName), which may be that of a table in another account.
type CheckpointConfig struct {
	CheckpointTable  string        `envconfig:"CHECKPOINT_TABLE" pattern:"^([a-zA-Z0-9_.-]{3,255}|arn:[^:]+:dynamodb:[^:]+:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255})$" form:"the name of a DynamoDB table, 3 to 255 letters, digits, _ . and -, or its ARN" desc:"DynamoDB table of leases and checkpoints. Default: the value of APPLICATION_NAME."`
	CheckpointCreate bool          `envconfig:"CHECKPOINT_TABLE_CREATE" default:"true" desc:"Creates the table if it does not exist."`
	CheckpointFile   string        `envconfig:"CHECKPOINT_FILE" desc:"File to use instead of the DynamoDB table, for a single worker. Default: none."`
	Failover         time.Duration `envconfig:"FAILOVER_TIME" default:"10s" min:"1s" max:"10m" desc:"Time without a heartbeat after which a worker is considered dead."`
	MaxLeases        int           `envconfig:"MAX_LEASES" default:"0" min:"0" desc:"Largest number of shards that this worker takes; 0 means its fair share."`
}

// tableName is by the Amazon DynamoDB Developer Guide, "Naming rules".
var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

const tableForm = "3 to 255 letters, digits, _ . and -"

func (c *CheckpointConfig) check(f *settings.Faults) {
	f.Check(c.CheckpointFile == "" || c.CheckpointTable == "", "CHECKPOINT_FILE", "nothing if CHECKPOINT_TABLE is set")
}
