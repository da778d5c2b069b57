package consumer

import (
	"net"
	"time"

	"aws-streaming-pipeline/internal/emf"
	"aws-streaming-pipeline/internal/settings"
)

// HTTPConfig sets the addresses of the status pages.
type HTTPConfig struct {
	HTTPAddress       string `envconfig:"HTTP_ADDRESS" default:":8080" desc:"Address of the status page, /metrics, /healthz and /readyz. An empty value turns them off."`
	LoaderHTTPAddress string `envconfig:"LOADER_HTTP_ADDRESS" default:":8081" desc:"The same for the loader of TABLE, which may run beside the daemon."`
}

func (c *HTTPConfig) check(f *settings.Faults) {
	f.Check(isAddress(c.HTTPAddress), "HTTP_ADDRESS", "host:port or :port")
	f.Check(isAddress(c.LoaderHTTPAddress), "LOADER_HTTP_ADDRESS", "host:port or :port")
}

func isAddress(text string) bool {
	if text == "" {
		return true
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	return err == nil
}

// ProcessConfig sets how the process shuts down, logs, and reports metrics beyond /metrics.
type ProcessConfig struct {
	ShutdownGrace time.Duration `envconfig:"SHUTDOWN_GRACE" default:"30s" min:"1s" max:"1h" desc:"Time for the last commit after SIGTERM. Records that are not committed by then are read again."`
	LogLevel      string        `envconfig:"LOG_LEVEL" default:"info" oneof:"debug,info,warn,error" desc:"Lowest level of the lines that are logged: debug, info, warn or error."`
	LogFormat     string        `envconfig:"LOG_FORMAT" default:"json" oneof:"json,text" desc:"Format of log lines: json or text."`
	CloudWatch    string        `envconfig:"CLOUDWATCH_NAMESPACE" desc:"Writes the metrics that Firehose has to standard output, once a minute in CloudWatch's embedded metric format, for this namespace, such as StreamingPipeline/Firehose. Default: none; nothing is written."`
}

func (c *ProcessConfig) check(f *settings.Faults) {
	if c.CloudWatch != "" {
		f.Add("CLOUDWATCH_NAMESPACE", emf.CheckNamespace(c.CloudWatch))
	}
}
