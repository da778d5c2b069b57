{{/* Rejects wrong values before anything is installed. The error lists all faults. */}}
{{- define "consumer.validate" -}}
{{- with include "consumer.faults" . | trim }}{{ fail (printf "\n%s" .) }}{{ end }}
{{- end }}

{{/* The faults of the values, one on a line. */}}
{{- define "consumer.faults" -}}
{{- range list "schema" "spool" "strategy" }}
{{- if not (hasKey $.Values .) }}{{ fail (printf "%s is missing: these are the values of an older chart, which --reuse-values keeps. Use --reset-then-reuse-values (UPGRADING.md)" .) }}{{ end }}
{{- end }}
{{- range list "autoscaling" "aws" "check" "dashboard" "image" "monitor" "networkPolicy" "podDisruptionBudget" "postgres" "prometheusRule" "resources" "service" "serviceAccount" "settings" "table" }}
{{- if not (kindIs "map" (get $.Values .)) }}{{ fail (printf "%s is null, which removes its defaults: leave it out to keep them, or give it a mapping of values" .) }}{{ end }}
{{- end }}
{{- $rules := .Files.Get "files/settings.json" | required "files/settings.json is missing from the chart" | fromJson }}
{{- $f := dict }}
{{- include "consumer.checkNames" (list . $rules $f) }}
{{- include "consumer.checkSettings" (list . $rules $f) }}
{{- include "consumer.checkTables" (list . $f) }}
{{- include "consumer.checkChart" (list . $f) }}
{{- range $name := keys $f | sortAlpha }}
{{ get $f $name }}
{{- end }}
{{- end }}

{{/* Adds a fault of a value: (list faults name text). The first one stays, so that what follows from it is not reported, too. */}}
{{- define "consumer.refuse" -}}
{{- if not (hasKey (index . 0) (index . 1)) }}{{ $_ := set (index . 0) (index . 1) (index . 2) }}{{ end }}
{{- end }}

{{/* Adds a fault of a setting that is known by its text: (list faults texts key want). */}}
{{- define "consumer.want" -}}
{{- $key := index . 2 }}
{{- include "consumer.refuse" (list (index . 0) (printf "settings.%s" $key) (printf "settings.%s=%q: want %s" $key (get (index . 1) $key) (index . 3))) }}
{{- end }}

{{/* Adds a fault for each setting that has not its default: (list faults texts rules keys unless). */}}
{{- define "consumer.wantDefaults" -}}
{{- $f := index . 0 }}{{ $t := index . 1 }}{{ $rules := index . 2 }}{{ $unless := index . 4 }}
{{- range $key := index . 3 }}
{{- $rule := get $rules.settings $key }}
{{- $default := $rule.default }}
{{- $text := get $t $key }}
{{- $same := eq $text $default }}
{{- if and (not $same) $rule.kind }}{{ if regexMatch $rule.pattern $text }}
{{- if eq $rule.kind "duration" }}{{ $same = eq (include "consumer.exactSeconds" $text) (include "consumer.exactSeconds" $default) }}
{{- else }}{{ $same = eq (include "consumer.bytes" $text) (include "consumer.bytes" $default) }}{{ end }}
{{- end }}{{ end }}
{{- if not $same }}{{ include "consumer.want" (list $f $t $key (printf "%s %s" ($default | default "nothing") $unless)) }}{{ end }}
{{- end }}
{{- end }}

{{/* Names that other charts have: (list root rules faults). */}}
{{- define "consumer.checkNames" -}}
{{- $root := index . 0 }}{{ $rules := index . 1 }}{{ $f := index . 2 }}
{{- range $path, $hint := $rules.names }}
{{- $at := $root.Values }}{{ $there := true }}
{{- range splitList "." $path }}
{{- if and $there (kindIs "map" $at) }}{{ if hasKey $at . }}{{ $at = get $at . }}{{ else }}{{ $there = false }}{{ end }}{{ else }}{{ $there = false }}{{ end }}
{{- end }}
{{- if $there }}{{ include "consumer.refuse" (list $f $path (printf "%s %s" $path $hint)) }}{{ end }}
{{- end }}
{{- range $key, $_ := $root.Values.settings }}
{{- if regexMatch "^[A-Z][A-Z0-9_]*$" $key }}
{{- $camel := lower $key | camelcase | untitle }}
{{- $path := printf "settings.%s" $key }}
{{- if hasKey $rules.settings $camel }}{{ include "consumer.refuse" (list $f $path (printf "%s is named settings.%s in this chart" $path $camel)) }}
{{- else }}{{ include "consumer.refuse" (list $f $path (printf "%s %s" $path (get $rules.names (printf "settings.%s" $camel) | default "is not a setting"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Settings by the program's rules (consumer/config_*.go): (list root rules faults). */}}
{{- define "consumer.checkSettings" -}}
{{- $root := index . 0 }}{{ $rules := index . 1 }}{{ $f := index . 2 }}
{{- $s := $root.Values.settings }}
{{- /* Each setting as the program reads it. null leaves the variable unset. */}}
{{- $t := dict }}
{{- range $key, $rule := $rules.settings }}
{{- $text := $rule.default }}
{{- if hasKey $s $key }}{{ if not (kindIs "invalid" (get $s $key)) }}{{ $text = include "consumer.text" (get $s $key) }}{{ end }}{{ end }}
{{- $_ := set $t $key $text }}
{{- with $rule.pattern }}
{{- $form := regexMatch . $text }}
{{- if and $form (eq $rule.kind "duration") }}
{{- $seconds := include "consumer.exactSeconds" $text | float64 }}
{{- $form = and (ge $seconds ($rule.min | default 0 | float64)) (or (not $rule.max) (le $seconds ($rule.max | default 0 | float64))) }}
{{- else if and $form (eq $rule.kind "size") }}
{{- $bytes := include "consumer.bytes" $text | float64 }}
{{- $form = and (ge $bytes ($rule.min | default 0 | float64)) (or (not $rule.max) (le $bytes ($rule.max | default 0 | float64))) }}
{{- end }}
{{- if and (not $form) (not (and $rule.optional (eq $text ""))) }}{{ include "consumer.want" (list $f $t $key $rule.want) }}{{ end }}
{{- end }}
{{- end }}
{{- if not $t.streamName }}{{ $_ := set $f "settings.streamName" "settings.streamName is required: the name of the Kinesis stream" }}{{ end }}
{{- if not $t.bucket }}{{ $_ := set $f "settings.bucket" "settings.bucket is required: the S3 bucket for the files" }}{{ end }}
{{- include "consumer.checkStream" (list $t $f) }}
{{- include "consumer.checkPrefixes" (list $t $rules $f) }}
{{- include "consumer.checkFormat" (list $t $rules $f) }}
{{- include "consumer.checkLimits" (list $t $f) }}
{{- if not $t.transform }}
{{- include "consumer.wantDefaults" (list $f $t $rules (list "transformBufferSize" "transformConcurrency" "transformRetries" "transformTimeout") "unless settings.transform is set") }}
{{- end }}
{{- $iceberg := include "consumer.icebergTable" $root }}
{{- $postgres := include "consumer.postgresTable" $root }}
{{- if not (regexMatch "^rest" $iceberg) }}
{{- include "consumer.wantDefaults" (list $f $t $rules (list "tableWarehouse" "tableSigning") "unless table.uri is rest:// or rest+http://") }}
{{- end }}
{{- if and $t.tableLocation (regexMatch "^s3" $iceberg) }}{{ include "consumer.want" (list $f $t "tableLocation" "nothing if table.uri is s3://, which is the location") }}{{ end }}
{{- if and $postgres (not $iceberg) }}
{{- include "consumer.wantDefaults" (list $f $t $rules (list "tablePartition" "tableLocation" "tableSnapshotAge" "tableSnapshots") "unless table.uri has an Iceberg table") }}
{{- end }}
{{- if not $postgres }}
{{- include "consumer.wantDefaults" (list $f $t $rules (list "postgresAuth" "postgresUser" "postgresTls" "postgresKey" "postgresUnique" "postgresPartition" "postgresFailoverWindow") "unless table.uri has a PostgreSQL table") }}
{{- end }}
{{- if and (eq $t.postgresTls "disable") (eq $t.postgresAuth "iam") }}{{ include "consumer.want" (list $f $t "postgresTls" "verify-full or verify-ca with settings.postgresAuth=iam, which Amazon RDS accepts over TLS only") }}{{ end }}
{{- $columns := splitList "," $t.postgresKey }}
{{- if ne (len $columns) (len (uniq $columns)) }}{{ include "consumer.want" (list $f $t "postgresKey" "names of different columns, separated by single commas") }}{{ end }}
{{- if and $t.postgresKey (ne $t.postgresPartition "none") }}{{ include "consumer.want" (list $f $t "postgresPartition" "none with settings.postgresKey, because a record and the one that it replaces may arrive on different days") }}{{ end }}
{{- end }}

{{/* Stream, bucket and leases: (list texts faults). */}}
{{- define "consumer.checkStream" -}}
{{- $t := index . 0 }}{{ $f := index . 1 }}
{{- if and $t.streamArn (not (hasKey $f "settings.streamName")) (not (hasSuffix (printf ":stream/%s" $t.streamName) $t.streamArn)) }}{{ include "consumer.want" (list $f $t "streamArn" (printf "the ARN of the stream that settings.streamName names, %s" $t.streamName)) }}{{ end }}
{{- if not $t.checkpointTable }}
{{- if not (regexMatch "^[a-zA-Z0-9_.-]{3,255}$" $t.applicationName) }}{{ include "consumer.want" (list $f $t "applicationName" "3 to 255 letters, digits, _ . and -, because it names the table unless settings.checkpointTable is set") }}{{ end }}
{{- else if not $t.applicationName }}{{ include "consumer.want" (list $f $t "applicationName" "a name") }}
{{- end }}
{{- if and $t.stopPosition (regexMatch "^[0-9]" $t.startPosition) (not (hasKey $f "settings.startPosition")) (not (hasKey $f "settings.stopPosition")) }}
{{- $start := toDate "2006-01-02T15:04:05Z07:00" $t.startPosition }}
{{- $stop := toDate "2006-01-02T15:04:05Z07:00" $t.stopPosition }}
{{- if not ($stop.After $start) }}{{ include "consumer.want" (list $f $t "stopPosition" (printf "a time after settings.startPosition, %s" $t.startPosition)) }}{{ end }}
{{- end }}
{{- if regexMatch "^arn:[^:]+:s3:::" $t.bucket }}{{ include "consumer.want" (list $f $t "bucket" "the name of a bucket instead of its ARN") }}{{ end }}
{{- if or (regexMatch "[ \t\n]" $t.s3KmsKeyId) (and (hasPrefix "arn:" $t.s3KmsKeyId) (not (regexMatch "^arn:[^:]+:kms:[^:]+:[0-9]{12}:(key|alias)/[^\\s]+$" $t.s3KmsKeyId))) }}{{ include "consumer.want" (list $f $t "s3KmsKeyId" "the id, the alias or the ARN of a key, such as alias/files") }}
{{- else if and $t.s3KmsKeyId (ne $t.s3Encryption "aws:kms") }}{{ include "consumer.want" (list $f $t "s3KmsKeyId" "nothing unless settings.s3Encryption=aws:kms") }}{{ end }}
{{- if $t.checkpointFile }}{{ include "consumer.refuse" (list $f "settings.checkpointFile" "settings.checkpointFile is for a single worker on its own disk: pods keep leases and checkpoints in DynamoDB (settings.checkpointTable)") }}{{ end }}
{{- range $key := list "httpAddress" "loaderHttpAddress" }}
{{- $address := get $t $key }}
{{- if gt (regexFind "[0-9]+$" $address | int) 65535 }}{{ include "consumer.want" (list $f $t $key "host:port or :port") }}{{ end }}
{{- end }}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" $t.httpAddress }}{{ include "consumer.refuse" (list $f "settings.httpAddress" "settings.httpAddress is a loopback address: the probes cannot reach it") }}{{ end }}
{{- if hasPrefix "AWS/" (upper $t.cloudwatchNamespace) }}{{ include "consumer.want" (list $f $t "cloudwatchNamespace" "a namespace that does not begin with AWS/, which is for Amazon's services") }}{{ end }}
{{- end }}

{{/* Prefixes (docs/prefixes.md): (list texts rules faults). */}}
{{- define "consumer.checkPrefixes" -}}
{{- $t := index . 0 }}{{ $rules := index . 1 }}{{ $f := index . 2 }}
{{- range $key := list "prefix" "errorPrefix" "backupPrefix" }}
{{- range regexFindAll "!\\{[^}]*\\}?" (get $t $key) -1 }}
{{- $inner := . | trimPrefix "!{" | trimSuffix "}" }}
{{- $value := regexReplaceAll "^[^:]*:" $inner "" }}
{{- $want := "" }}
{{- if not (hasSuffix "}" .) }}{{ $want = printf "a closing brace after %q" . }}
{{- else if contains "!{" $inner }}{{ $want = printf "%s in %s" "no expression within another" . }}
{{- else if not (regexMatch "^[^:]*:." $inner) }}{{ $want = printf "%s in %s" "namespace:value" . }}
{{- else if not (regexMatch "^(timestamp|partitionKeyFromQuery|partitionKeyFromLambda|firehose):" $inner) }}{{ $want = printf "%s in %s" "timestamp, partitionKeyFromQuery, partitionKeyFromLambda or firehose before the colon" . }}
{{- else if and (hasPrefix "firehose:" $inner) (not (has $value (list "random-string" "error-output-type"))) }}{{ $want = printf "%s in %s" "firehose:random-string or firehose:error-output-type" . }}
{{- else if and (hasPrefix "timestamp:" $inner) (regexMatch "Y" (regexReplaceAll "'[^']*'" $value "")) }}{{ $want = printf "%s in %s" "yyyy: YYYY is the year of weeks" . }}
{{- end }}
{{- if $want }}{{ include "consumer.want" (list $f $t $key $want) }}{{ end }}
{{- end }}
{{- end }}
{{- $expressions := contains "!{" $t.prefix }}
{{- $query := contains "!{partitionKeyFromQuery:" $t.prefix }}
{{- if contains "!{firehose:error-output-type}" $t.prefix }}{{ include "consumer.want" (list $f $t "prefix" "no !{firehose:error-output-type}: only the error prefix may have it") }}{{ end }}
{{- if and (contains "!{partitionKeyFromLambda:" $t.prefix) (not $t.transform) }}{{ include "consumer.want" (list $f $t "prefix" "no !{partitionKeyFromLambda:...} unless settings.transform is set") }}{{ end }}
{{- if not (hasKey $f "settings.prefix") }}
{{- if and $query (not $t.partitionQuery) }}{{ include "consumer.want" (list $f $t "partitionQuery" "a query that makes the keys of the prefix") }}{{ end }}
{{- if and $t.partitionQuery (not $query) }}{{ include "consumer.want" (list $f $t "partitionQuery" "no query, because the prefix has no !{partitionKeyFromQuery:...}") }}{{ end }}
{{- if and $expressions (not $t.errorPrefix) }}{{ include "consumer.want" (list $f $t "errorPrefix" "a prefix, because the data prefix has expressions") }}{{ end }}
{{- end }}
{{- if contains "!{partitionKeyFrom" $t.errorPrefix }}{{ include "consumer.want" (list $f $t "errorPrefix" "no !{partitionKeyFromQuery:...} and !{partitionKeyFromLambda:...}: a record that failed has no keys") }}{{ end }}
{{- if and (contains "!{" $t.errorPrefix) (not (contains "!{firehose:error-output-type}" $t.errorPrefix)) }}{{ include "consumer.want" (list $f $t "errorPrefix" "!{firehose:error-output-type}, because the prefix has expressions") }}{{ end }}
{{- range $key := list "manifestPrefix" "completePrefix" }}
{{- if contains "!{" (get $t $key) }}{{ include "consumer.want" (list $f $t $key "a prefix without expressions") }}{{ end }}
{{- end }}
{{- if $t.completePrefix }}
{{- $folder := regexFind "^.*/" (splitList "!{" $t.prefix | first) }}
{{- if and $folder (hasPrefix $folder $t.completePrefix) }}{{ include "consumer.want" (list $f $t "completePrefix" (printf "a prefix that does not begin with %s, where queries look for data" $folder)) }}{{ end }}
{{- end }}
{{- if and $t.completePrefix $t.manifestPrefix (or (hasPrefix $t.completePrefix $t.manifestPrefix) (hasPrefix $t.manifestPrefix $t.completePrefix)) }}{{ include "consumer.want" (list $f $t "completePrefix" (printf "a prefix apart from that of settings.manifestPrefix, %s, because audits read all files under it" $t.manifestPrefix)) }}{{ end }}
{{- if $t.completeMarker }}
{{- if not (trimAll "." $t.completeMarker) }}{{ include "consumer.want" (list $f $t "completeMarker" (get $rules.settings.completeMarker "want")) }}{{ end }}
{{- if not $t.completePrefix }}{{ include "consumer.want" (list $f $t "completeMarker" "nothing unless settings.completePrefix is set: the object there says which folders have a marker") }}{{ end }}
{{- end }}
{{- if not $t.backupPrefix }}
{{- include "consumer.wantDefaults" (list $f $t $rules (list "backupFormat" "backupCompression") "unless settings.backupPrefix is set") }}
{{- else }}
{{- if or (contains "!{partitionKeyFrom" $t.backupPrefix) (contains "!{firehose:error-output-type}" $t.backupPrefix) }}{{ include "consumer.want" (list $f $t "backupPrefix" "no expressions but !{timestamp:...} and !{firehose:random-string}: a backup has the records as they came") }}{{ end }}
{{- $backup := splitList "!{" $t.backupPrefix | first }}
{{- range $key, $reads := dict "prefix" "tables read" "errorPrefix" "redrives read" "manifestPrefix" "audits read" }}
{{- $other := splitList "!{" (get $t $key) | first }}
{{- if and $backup $other (or (hasPrefix $backup $other) (hasPrefix $other $backup)) }}{{ include "consumer.want" (list $f $t "backupPrefix" (printf "a prefix apart from that of settings.%s, %s, because %s all files under it" $key $other $reads)) }}{{ end }}
{{- end }}
{{- $like := get $rules.formats (eq $t.backupFormat "raw" | ternary "firehose" "jsonl") }}
{{- if and $t.backupCompression (not (has $t.backupCompression $like.compressions)) }}{{ include "consumer.want" (list $f $t "backupCompression" (printf "one of %s" (join ", " $like.compressions))) }}{{ end }}
{{- end }}
{{- end }}

{{/* Format, compression and schema: (list texts rules faults). */}}
{{- define "consumer.checkFormat" -}}
{{- $t := index . 0 }}{{ $rules := index . 1 }}{{ $f := index . 2 }}
{{- with get $rules.formats $t.format }}
{{- if and $t.compression (not (has $t.compression .compressions)) }}{{ include "consumer.want" (list $f $t "compression" (printf "one of %s with settings.format=%s" (join ", " .compressions) $t.format)) }}{{ end }}
{{- range $key, $trait := dict "schema" "schema" "parquetEncoding" "columns" "bloomColumns" "columns" "contentEncoding" "labels" "appendDelimiter" "delimiter" }}
{{- if not (get (get $rules.formats $t.format) $trait) }}
{{- $takers := list }}
{{- range $name, $format := $rules.formats }}{{ if get $format $trait }}{{ $takers = append $takers $name }}{{ end }}{{ end }}
{{- include "consumer.wantDefaults" (list $f $t $rules (list $key) (printf "unless settings.format=%s" (join " or " $takers))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (hasPrefix "s3://" $t.schema) (not (regexMatch "^s3://[^/]+/." $t.schema)) }}{{ include "consumer.want" (list $f $t "schema" "a path, s3://bucket/key or glue://database/table") }}{{ end }}
{{- if and (hasPrefix "glue://" $t.schema) (not (regexMatch "^glue://[^/?]+/[^/?]+(\\?(catalog=[0-9]{12}|region=[^&]+|version=[0-9]+|case=exact)(&(catalog=[0-9]{12}|region=[^&]+|version=[0-9]+|case=exact))*)?$" $t.schema)) }}{{ include "consumer.want" (list $f $t "schema" "glue://database/table, perhaps with ?catalog=123456789012&region=eu-west-1&version=7&case=exact") }}{{ end }}
{{- if eq $t.fileExtension ".postgres-failed.gz" }}{{ include "consumer.want" (list $f $t "fileExtension" "another extension, because this one is of files with rows that PostgreSQL refuses") }}{{ end }}
{{- end }}

{{/* Sizes that depend on each other: (list texts faults). */}}
{{- define "consumer.checkLimits" -}}
{{- $t := index . 0 }}{{ $f := index . 1 }}
{{- $sizes := dict }}
{{- range $key := list "partSize" "fileSize" "commitSize" "spoolSize" }}
{{- if not (hasKey $f (printf "settings.%s" $key)) }}{{ $_ := set $sizes $key (include "consumer.bytes" (get $t $key) | int64) }}{{ end }}
{{- end }}
{{- if and (hasKey $sizes "commitSize") (hasKey $sizes "fileSize") }}
{{- if lt $sizes.commitSize $sizes.fileSize }}{{ include "consumer.want" (list $f $t "commitSize" (printf "at least settings.fileSize, which is %s" $t.fileSize)) }}{{ end }}
{{- end }}
{{- if and (hasKey $sizes "commitSize") (hasKey $sizes "partSize") }}
{{- if gt $sizes.commitSize (mul 80000 $sizes.partSize) }}{{ include "consumer.want" (list $f $t "commitSize" (printf "at most 80000 times settings.partSize, which is %s" $t.partSize)) }}{{ end }}
{{- end }}
{{- if and $t.spoolDir (hasKey $sizes "spoolSize") (hasKey $sizes "partSize") }}
{{- if lt $sizes.spoolSize $sizes.partSize }}{{ include "consumer.want" (list $f $t "spoolSize" (printf "at least settings.partSize, which is %s" $t.partSize)) }}{{ end }}
{{- end }}
{{- end }}

{{/* Wrong tables, and a PostgreSQL database that the loader could not reach: (list root faults). Messages never repeat a password. */}}
{{- define "consumer.checkTables" -}}
{{- $root := index . 0 }}{{ $f := index . 1 }}
{{- $s := $root.Values.settings }}
{{- $uri := $root.Values.table.uri }}
{{- $names := splitList "," $uri }}
{{- $postgres := include "consumer.postgresTable" $root }}
{{- $iceberg := include "consumer.icebergTable" $root }}
{{- if contains "@" $uri }}{{ include "consumer.refuse" (list $f "table.uri" "table.uri holds a user or password: it goes into a secret, which table.tokenSecret or postgres.existingSecret names") }}{{ end }}
{{- if and $uri (ne (len $names) (add (empty $postgres | ternary 0 1) (empty $iceberg | ternary 0 1) | int)) }}{{ include "consumer.refuse" (list $f "table.uri" "table.uri names several tables: want at most one Apache Iceberg table and one PostgreSQL table") }}{{ end }}
{{- if and $iceberg (ne (toString $s.format) "parquet") }}{{ include "consumer.refuse" (list $f "table.uri" (printf "table.uri with an Apache Iceberg table needs settings.format=parquet, which is %v" $s.format)) }}{{ end }}
{{- if and $postgres (eq (toString $s.format) "firehose") }}{{ include "consumer.refuse" (list $f "table.uri" "table.uri with a PostgreSQL table needs settings.format=jsonl or parquet, which is firehose") }}{{ end }}
{{- if and $root.Values.table.tokenSecret (not $iceberg) }}{{ include "consumer.refuse" (list $f "table.tokenSecret" "table.tokenSecret is for the catalog of table.uri, which has no Apache Iceberg table") }}{{ end }}
{{- with $root.Values.postgres }}
{{- $set := or .existingSecret .secretArn .ca.configMap .ca.secret }}
{{- if and $set (not $postgres) }}{{ include "consumer.refuse" (list $f "postgres" "postgres is for the database of table.uri, which has no PostgreSQL table") }}{{ end }}
{{- if and .existingSecret .secretArn }}{{ include "consumer.refuse" (list $f "postgres" "postgres.existingSecret and postgres.secretArn are set: want one of them") }}{{ end }}
{{- if and .ca.configMap .ca.secret }}{{ include "consumer.refuse" (list $f "postgres.ca" "postgres.ca.configMap and postgres.ca.secret are set: want one of them") }}{{ end }}
{{- if and (or .ca.configMap .ca.secret) (eq (toString $s.postgresTls) "disable") }}{{ include "consumer.refuse" (list $f "postgres.ca" "postgres.ca is set: want nothing with settings.postgresTls=disable") }}{{ end }}
{{- if and $postgres (not .existingSecret) (not .secretArn) }}
{{- if ne (toString $s.postgresAuth) "iam" }}{{ include "consumer.refuse" (list $f "table.uri" "table.uri has a PostgreSQL table: want its credentials from postgres.existingSecret or postgres.secretArn, or settings.postgresAuth=iam") }}
{{- else if not $s.postgresUser }}{{ include "consumer.refuse" (list $f "settings.postgresAuth" "settings.postgresAuth=iam: want settings.postgresUser, or a connection string with a user in postgres.existingSecret") }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Values of the chart itself: (list root faults). */}}
{{- define "consumer.checkChart" -}}
{{- $root := index . 0 }}{{ $f := index . 1 }}
{{- $s := $root.Values.settings }}
{{- if not $root.Values.image.repository }}{{ include "consumer.refuse" (list $f "image.repository" "image.repository is required: the repository of the image, such as ghcr.io/OWNER/aws-streaming-pipeline") }}{{ end }}
{{- range $root.Values.extraEnv }}
{{- $name := .name }}
{{- range $variable, $value := dict "TABLE" "table.uri" "TABLE_TOKEN" "table.tokenSecret" "POSTGRES_DSN" "postgres.existingSecret" "POSTGRES_DSN_FILE" "postgres.existingSecret" "POSTGRES_SECRET" "postgres.secretArn" "POSTGRES_CA_FILE" "postgres.ca" }}
{{- if eq $variable $name }}{{ include "consumer.refuse" (list $f (printf "extraEnv.%s" $name) (printf "extraEnv sets %s: set %s instead" $name $value)) }}{{ end }}
{{- end }}
{{- range $key, $_ := $s }}
{{- if eq (include "consumer.variable" $key) $name }}{{ include "consumer.refuse" (list $f (printf "extraEnv.%s" $name) (printf "extraEnv sets %s: set settings.%s instead" $name $key)) }}{{ end }}
{{- end }}
{{- end }}
{{- with $root.Values.schema }}
{{- if and .document .existingConfigMap }}{{ include "consumer.refuse" (list $f "schema" "schema.document and schema.existingConfigMap are set: want one of them") }}{{ end }}
{{- if and (or .document .existingConfigMap) $s.schema }}{{ include "consumer.refuse" (list $f "schema" (printf "settings.schema is %s, and schema has a document: want one of them" $s.schema)) }}{{ end }}
{{- if and (or .document .existingConfigMap) (eq (toString $s.format) "firehose") }}{{ include "consumer.refuse" (list $f "schema" "schema: want nothing unless settings.format=jsonl or parquet") }}{{ end }}
{{- if .document }}
{{- $parsed := fromJson .document }}
{{- if and (hasKey $parsed "Error") (eq (len $parsed) 1) }}{{ include "consumer.refuse" (list $f "schema.document" (printf "schema.document is not a JSON object: %s" $parsed.Error)) }}{{ end }}
{{- end }}
{{- end }}
{{- if and (eq $root.Values.spool.type "claim") (not $s.spoolDir) }}{{ include "consumer.refuse" (list $f "spool.type" "spool.type is claim, but settings.spoolDir is empty: there is no spool") }}{{ end }}
{{- with $root.Values.terminationGracePeriodSeconds }}
{{- if not (or (hasKey $f "settings.shutdownGrace") (hasKey $f "settings.failoverTime")) }}
{{- $needed := include "consumer.graceNeeded" $root | int }}
{{- if lt (int .) $needed }}{{ include "consumer.refuse" (list $f "terminationGracePeriodSeconds" (printf "terminationGracePeriodSeconds is %d, less than the %d that the daemon may take to hand its shards over: want 0 to derive it, or a shorter settings.shutdownGrace" (int .) $needed)) }}{{ end }}
{{- end }}
{{- end }}
{{- with $root.Values.autoscaling }}
{{- if .enabled }}
{{- $shards := .shards | int }}
{{- if lt $shards 1 }}{{ include "consumer.refuse" (list $f "autoscaling.shards" "autoscaling.shards is required: the number of open shards of the stream. More workers than shards are of no use") }}
{{- else if gt (.maxReplicas | default 1 | int) $shards }}{{ include "consumer.refuse" (list $f "autoscaling.maxReplicas" (printf "autoscaling.maxReplicas is %d, more than autoscaling.shards (%d): more workers than shards are of no use" (int .maxReplicas) $shards)) }}
{{- else if gt (.minReplicas | int) (.maxReplicas | default $shards | int) }}{{ include "consumer.refuse" (list $f "autoscaling.minReplicas" (printf "autoscaling.minReplicas is %d, more than the maximum (%d)" (int .minReplicas) (.maxReplicas | default $shards | int))) }}{{ end }}
{{- if and (eq .type "keda") (not .keda.serverAddress) }}{{ include "consumer.refuse" (list $f "autoscaling.keda" "autoscaling.keda.serverAddress is required: the address of Prometheus, such as http://prometheus.monitoring:9090") }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
