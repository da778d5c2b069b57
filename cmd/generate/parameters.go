package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"aws-streaming-pipeline/consumer"
	"aws-streaming-pipeline/internal/settings"
)

// ofStack is what the stack adds to a setting: a form narrower than the daemon's, and what it means in this stack.
type ofStack struct{ pattern, constraint, note, max string }

var inStack = map[string]ofStack{
	"START_POSITION": {
		pattern:    `^(TRIM_HORIZON|LATEST|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|[+-][0-9]{2}:[0-9]{2}))$`,
		constraint: "TRIM_HORIZON, LATEST or a time such as 2026-01-31T00:00:00Z.",
	},
	"PREFIX": {
		pattern: `^.{1,512}$`, constraint: "A prefix of 1 to 512 characters.",
		note: "The tables of the Athena stack expect the default.",
	},
	"ERROR_PREFIX":       {pattern: `^.{1,512}$`, constraint: "A prefix of 1 to 512 characters."},
	"MANIFEST_PREFIX":    {pattern: `^[A-Za-z0-9_=/.-]{1,256}$`, constraint: "A prefix of letters, digits and the signs _ = / . and hyphen."},
	"COMPLETE_PREFIX":    {pattern: `^[A-Za-z0-9_=/.-]{0,256}$`, constraint: "A prefix of letters, digits and the signs _ = / . and hyphen, or nothing."},
	"COMPLETE_MARKER":    {pattern: `^([_.][A-Za-z0-9_.-]{1,62})?$`, constraint: "A name such as _SUCCESS, or nothing."},
	"TIME_ZONE":          {pattern: `^[A-Za-z][A-Za-z0-9/_+-]{0,49}$`, constraint: "A name of the time zone database, such as UTC or Europe/Lisbon."},
	"BACKUP_PREFIX":      {pattern: `^.{0,512}$`, constraint: "A prefix of at most 512 characters, or nothing."},
	"BACKUP_COMPRESSION": {pattern: `^[a-z0-9-]{0,16}$`, constraint: "A compression that the daemon knows, such as none, gzip or zstd, or nothing."},
	"FORMAT": {
		note: "For Parquet also set Prefix to parquet/year=..., which the tables of the Athena stack expect.",
	},
	"COMPRESSION":    {pattern: `^[a-z0-9-]{0,16}$`, constraint: "A compression that the daemon knows, such as none, gzip or zstd, or nothing."},
	"FILE_EXTENSION": {pattern: `^([.][0-9a-z!_.*'()-]{1,127})?$`, constraint: "An extension such as .json.gz, or nothing."},
	"TABLE": {
		pattern:    `^((glue://[a-z0-9_]+/[a-z0-9_]+|s3://[a-z0-9.-]+/[^ ,]+|rest://[^ ,]+)(,postgres://[^/ ,@]+/[A-Za-z0-9_$]+/[A-Za-z0-9_$.]+)?|postgres://[^/ ,@]+/[A-Za-z0-9_$]+/[A-Za-z0-9_$.]+)?$`,
		constraint: "A table such as glue://lake/trips or postgres://db.example.com/lake/public.trips, or both in this order, separated by a comma, or nothing.",
		note:       "An Iceberg table comes first. It adds the loader to the task. Files go to the bucket of the stack, so it cannot be in a table bucket.",
	},
	"TABLE_PARTITION": {pattern: `^.{0,512}$`, constraint: "Transforms of columns, at most 512 characters."},
	"TABLE_LOCATION":  {pattern: `^(s3://[a-z0-9.-]+(/[^/ ]+)+/?)?$`, constraint: "s3://bucket/prefix, or nothing."},
	"TABLE_WAREHOUSE": {pattern: `^[^ ]{0,512}$`, constraint: "A name without spaces, or nothing."},
	"TABLE_SNAPSHOTS": {max: "100000"},
	"POSTGRES_SECRET": {
		pattern:    `^(arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+)?$`,
		constraint: "The ARN of a secret, or nothing.",
		note:       "The loader reads it by the task's role, and again when the database refuses the password, so that it may be rotated.",
	},
	"POSTGRES_USER": {pattern: `^[A-Za-z0-9_$.@-]{0,63}$`, constraint: "A user of at most 63 characters, or nothing."},
	"POSTGRES_CA_FILE": {
		pattern: `^(/[^ ]+)?$`, constraint: "A path in the image, or nothing.",
		note: "The image has those of public authorities: infra/README.md shows how to add those of Amazon RDS.",
	},
	"POSTGRES_KEY": {pattern: `^([^ ,]+(,[^ ,]+)*)?$`, constraint: "Names of columns, separated by commas, or nothing."},
	"SCHEMA": {
		pattern:    `^((s3://[a-z0-9.-]+)?/.+|glue://[^/?# ]+/[^/?# ]+(\?(version=[0-9]+|case=exact)(&(version=[0-9]+|case=exact))?)?)?$`,
		constraint: "A path of the image, s3://bucket/key, glue://database/table of the account and region, or nothing.",
		note:       "The daemon may read what is under schema/ of the deployment bucket, where the deploy script puts trips.json, and the table.",
	},
	"TRANSFORM": {
		pattern:    `^(lambda:arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?)?$`,
		constraint: "lambda: and the ARN of a function, version or alias, or nothing.",
		note:       "The task's role may call it.",
	},
	"MAX_OPEN_FILES": {max: "100000"},
	"MEMORY_BUDGET":  {note: "A task needs it, 96 MiB, 128 MiB for the collector, and with a table 512 MiB for the loader."},
	"SPOOL_SIZE":     {pattern: `^([1-9]|1[0-6])GiB$`, constraint: "1GiB to 16GiB.", note: "Fargate gives a task 20 GiB of disk."},
	"CLOUDWATCH_NAMESPACE": {
		pattern: `^([0-9A-Za-z._/#-][0-9A-Za-z._/#:-]{0,254})?$`, constraint: "A namespace of CloudWatch that does not begin with AWS/, or nothing.",
		note: "CloudWatch bills each metric as a custom one.",
	},
	"SHUTDOWN_GRACE": {
		pattern:    `^([1-9]|[1-3][0-9]|4[0-5])s$`,
		constraint: "1s to 45s: the daemon takes up to twice as long and 30 seconds to stop, and Fargate kills it after 120.",
		note:       "Fargate kills a task 120 seconds after SIGTERM.",
	},
}

// template puts parameters for the settings into the stack of the daemon, and hands them to the containers that use them. What the template
// sets by itself, or says in SettingsLeftAtDefault to leave alone, is not a parameter.
func template(present []byte) ([]byte, error) {
	const (
		open, end             = "# <settings>\n", "# </settings>\n"
		openLoader, endLoader = "# <settings of the loader>\n", "# </settings of the loader>\n"
	)
	byHand, err := between(present, "  "+open, "", "  "+end)
	if err == nil {
		byHand, err = between(byHand, "            "+open, "", "            "+end)
	}
	if err == nil {
		byHand, err = between(byHand, "              "+openLoader, "", "              "+endLoader)
	}
	if err != nil {
		return nil, err
	}
	var parameters, variables, ofLoader strings.Builder
	for _, g := range consumer.SettingGroups() {
		for _, s := range g.Settings {
			if isSet(string(byHand), s.Name) {
				continue
			}
			parameters.WriteString(parameter(s))
			variable := fmt.Sprintf("- {Name: %s, Value: !Ref %s}\n", s.Name, parameterName(s))
			ofTables := g.Title == "Tables" || g.Title == "PostgreSQL"
			if !ofTables || slices.Contains(sharedWithDaemon, s.Name) {
				variables.WriteString("            " + variable)
			}
			if ofTables || slices.Contains(sharedWithLoader, s.Name) {
				ofLoader.WriteString("              " + variable)
			}
		}
	}
	filled, err := between(byHand, "  "+open, parameters.String(), "  "+end)
	if err == nil {
		filled, err = between(filled, "            "+open, variables.String(), "            "+end)
	}
	if err != nil {
		return nil, err
	}
	return between(filled, "              "+openLoader, ofLoader.String(), "              "+endLoader)
}

// The settings that both daemon and loader use: those of tables that the daemon also uses, and those of others that the loader
// also uses.
var (
	sharedWithDaemon = []string{"TABLE", "LOAD_INTERVAL", "POSTGRES_FAILOVER_WINDOW"}
	sharedWithLoader = []string{"ERROR_PREFIX", "MANIFEST_PREFIX", "TIME_ZONE", "FORMAT", "SCHEMA", "SHUTDOWN_GRACE", "LOG_LEVEL"}
)

// isSet says that a template names a variable: among those of a container, or among those that it leaves alone.
func isSet(template, name string) bool {
	for _, form := range []string{"- Name: %s\n", "{Name: %s,", "\n    %s: "} {
		if strings.Contains(template, fmt.Sprintf(form, name)) {
			return true
		}
	}
	return false
}

func parameterName(s settings.Setting) string {
	name := settings.Camel(s.Name)
	return strings.ToUpper(name[:1]) + name[1:]
}

// parameter is the parameter of a template for a setting.
func parameter(s settings.Setting) string {
	stack := inStack[s.Name]
	kind, value := "String", quoted(s.Default)
	var rules []string
	rule := func(name, value string) { rules = append(rules, name+": "+value) }
	switch s.Type {
	case reflect.TypeFor[bool]():
		rule("AllowedValues", `["true", "false"]`)
	case reflect.TypeFor[int]():
		kind, value = "Number", s.Default
		if s.Min != "" {
			rule("MinValue", s.Min)
		}
		if most := cmp.Or(stack.max, s.Max); most != "" {
			rule("MaxValue", most)
		}
	case reflect.TypeFor[time.Duration]():
		stack = stack.or(durationForm, "A duration from "+s.Bounds()+", such as "+s.Default+".")
	case reflect.TypeFor[consumer.Bytes]():
		stack = stack.or(sizeForm, "A size such as "+s.Default+".")
	}
	if len(s.OneOf) > 0 {
		rule("AllowedValues", "["+strings.Join(s.OneOf, ", ")+"]")
	}
	if stack.pattern != "" {
		rule("AllowedPattern", "'"+strings.ReplaceAll(stack.pattern, "'", "''")+"'")
		rule("ConstraintDescription", quoted(stack.constraint))
	}
	about := s.Name + ": " + s.Meaning
	if stack.note != "" {
		about += " " + stack.note
	}
	lines := append([]string{"Type: " + kind, "Default: " + value, "Description: " + quoted(about)}, rules...)
	return "  " + parameterName(s) + ":\n    " + strings.Join(lines, "\n    ") + "\n"
}

// or gives a form to what has none.
func (o ofStack) or(pattern, constraint string) ofStack {
	if o.pattern == "" {
		o.pattern, o.constraint = pattern, constraint
	}
	return o
}

// quoted is a text in double quotes, as YAML and JSON have them.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // texts have a JSON form
	}
	return string(b)
}
