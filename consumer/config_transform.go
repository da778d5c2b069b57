package consumer

import (
	"aws-streaming-pipeline/consumer/transform"
	"aws-streaming-pipeline/internal/settings"
)

// TransformConfig sets what is done to records before they are routed.
type TransformConfig struct {
	TransformQuery string `envconfig:"TRANSFORM_QUERY" desc:"jq program that maps, filters, splits or redacts payloads (docs/transforms.md): each object that it makes is a record, and a payload of which it makes none is dropped. Default: none."`
}

func (c *TransformConfig) check(f *settings.Faults) {
	if _, err := c.stage(nil); err != nil {
		f.Add("TRANSFORM_QUERY", err)
	}
}

// stage returns what the settings add to a stage that comes before; either may be nil.
func (c *TransformConfig) stage(before transform.Stage) (transform.Stage, error) {
	if c.TransformQuery == "" {
		return before, nil
	}
	query, err := transform.NewQuery(c.TransformQuery)
	if err != nil {
		return nil, err
	}
	return transform.Chain(before, query), nil
}
