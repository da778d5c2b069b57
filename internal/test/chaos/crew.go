package chaos

import "slices"

// crew is a number of processes of one program, each in a place of its own.
type crew struct {
	Name     string // of one of them, in messages
	Workers  int
	Binary   string
	Earlier  string   // runs instead of Binary until the upgrade; optional
	Args     []string // optional
	Services []Service
	// Settings returns the environment without the bucket and AWS's variables, anew at each start.
	Settings func(pick func(choices ...string) string) []string
}

// binary is the program to start.
func (c *crew) binary(upgraded bool) string {
	if c.Earlier != "" && !upgraded {
		return c.Earlier
	}
	return c.Binary
}

// daemons are the crew that writes files.
func (c *config) daemons() crew {
	return crew{Name: "daemon", Workers: c.Workers, Binary: c.Binary, Earlier: c.Earlier, Services: []Service{Kinesis, DynamoDB, S3}, Settings: c.Settings}
}

// services are those that some process calls.
func (c *config) services() []Service {
	all := slices.Concat(c.daemons().Services, c.Loaders.Services)
	var once []Service
	for _, s := range all {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// addresses are the variables that lead a process to a service. A catalog is part of the table's name, which all processes share, so
// its proxy is an HTTP proxy.
var addresses = map[Service]string{
	Kinesis: "AWS_ENDPOINT_URL_KINESIS", DynamoDB: "AWS_ENDPOINT_URL_DYNAMODB", S3: "AWS_ENDPOINT_URL_S3", Catalog: "HTTP_PROXY",
}
