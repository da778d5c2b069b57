{{/* Names and labels. */}}
{{- define "consumer.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "consumer.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: daemon
{{- end }}

{{- define "consumer.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end }}

{{- define "consumer.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "consumer.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "consumer.image" -}}
{{- $repository := required "image.repository is required: the repository of the image, such as ghcr.io/OWNER/aws-streaming-pipeline" .Values.image.repository }}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}
{{- else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* A number as text: Helm reads numbers as floats, which print 1000000 as 1e+06. */}}
{{- define "consumer.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{/* Bytes of a size as the daemon (256MiB) or Kubernetes (256Mi) writes it. */}}
{{- define "consumer.bytes" -}}
{{- $text := include "consumer.text" . | trim }}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text }}
{{- $unit := $text | trimPrefix $number | trim }}
{{- $factors := dict "" 1 "B" 1 "k" 1e3 "kB" 1e3 "KB" 1e3 "M" 1e6 "MB" 1e6 "G" 1e9 "GB" 1e9 "T" 1e12 "TB" 1e12 "Ki" 1024 "KiB" 1024 "Mi" 1048576 "MiB" 1048576 "Gi" 1073741824 "GiB" 1073741824 "Ti" 1099511627776 "TiB" 1099511627776 }}
{{- if or (eq $number "") (not (hasKey $factors $unit)) }}{{ fail (printf "%q: want a size such as 256MiB" $text) }}{{ end }}
{{- mulf (float64 $number) (get $factors $unit) | ceil | int64 }}
{{- end }}

{{/* Seconds of a duration such as 1m30s, rounded up. */}}
{{- define "consumer.seconds" -}}
{{- $text := toString . }}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" $text) }}{{ fail (printf "%q: want a duration such as 90s or 1m30s" $text) }}{{ end }}
{{- $factors := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" $text -1 }}
{{- $unit := regexFind "[a-z]+$" . }}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $factors $unit)) }}
{{- end }}
{{- ceil $sum | int64 }}
{{- end }}

{{/* Mebibytes below which the daemon itself warns that its container is too small: 33/32 of the budget plus 32 MiB for the Go
     runtime must fit into nine tenths of it. */}}
{{- define "consumer.memoryNeeded" -}}
{{- divf (addf (mulf (divf (include "consumer.bytes" .Values.settings.memoryBudget | float64) 1048576) 1.03125) 32) 0.9 | ceil | int64 }}
{{- end }}

{{/* The process is measured to stay within 72 MiB plus 1.1 times the budget; this adds another tenth. */}}
{{- define "consumer.memoryDerived" -}}
{{- mulf (addf (mulf (divf (include "consumer.bytes" .Values.settings.memoryBudget | float64) 1048576) 1.1) 72) 1.1 | ceil | int64 }}
{{- end }}

{{/* Resources. Memory is derived from the budget unless it is given. */}}
{{- define "consumer.resources" -}}
{{- $needed := include "consumer.memoryNeeded" . | int64 }}
{{- $limits := .Values.resources.limits | default dict }}
{{- $requests := .Values.resources.requests | default dict }}
{{- $derived := printf "%sMi" (include "consumer.memoryDerived" .) }}
{{- $limit := $limits.memory | default $derived }}
{{- if lt (include "consumer.bytes" $limit | int64) (mul $needed 1048576) }}
{{- fail (printf "resources.limits.memory is %v, too little for settings.memoryBudget (%v) and the process: the pod would be killed under load. Want %dMi or more, or unset to derive it" $limit .Values.settings.memoryBudget $needed) }}
{{- end }}
{{- $all := dict "limits" (merge (dict "memory" $limit) $limits) "requests" (merge (dict "memory" ($requests.memory | default $limit)) $requests) }}
{{- toYaml $all }}
{{- end }}

{{/* Seconds between SIGTERM and SIGKILL: the longest that the daemon can take. Handing over takes at most SHUTDOWN_GRACE,
     publishing the same time again, releasing leases and signing off FAILOVER_TIME each; then the status page closes. */}}
{{- define "consumer.grace" -}}
{{- add (mul 2 (include "consumer.seconds" .Values.settings.shutdownGrace | int64)) (mul 2 (include "consumer.seconds" .Values.settings.failoverTime | int64)) 10 }}
{{- end }}

{{- define "consumer.port" -}}
{{- include "consumer.portOf" (dict "name" "httpAddress" "address" .Values.settings.httpAddress) }}
{{- end }}

{{- define "consumer.loaderPort" -}}
{{- include "consumer.portOf" (dict "name" "loaderHttpAddress" "address" .Values.settings.loaderHttpAddress) }}
{{- end }}

{{/* The port of an address, and the name of the setting that holds it. */}}
{{- define "consumer.portOf" -}}
{{- $port := regexFind "[0-9]+$" (.address | default "") }}
{{- if not $port }}{{ fail (printf "settings.%s must contain a port, which the probes use" .name) }}{{ end }}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" .address }}{{ fail (printf "settings.%s is a loopback address: the probes cannot reach it" .name) }}{{ end }}
{{- $port }}
{{- end }}

{{/* The table of table.uri in PostgreSQL, and the one in Apache Iceberg. Empty if there is none. */}}
{{- define "consumer.postgresTable" -}}
{{- range splitList "," .Values.table.uri }}{{ if regexMatch "^ *postgres(ql)?://" . }}{{ trim . }}{{ end }}{{ end }}
{{- end }}

{{- define "consumer.icebergTable" -}}
{{- range splitList "," .Values.table.uri }}{{ if not (regexMatch "^ *postgres(ql)?://" .) }}{{ trim . }}{{ end }}{{ end }}
{{- end }}

{{/* The port of the database, which is PostgreSQL's own unless table.uri has another. */}}
{{- define "consumer.databasePort" -}}
{{- regexFind ":[0-9]+/" (include "consumer.postgresTable" .) | trimAll ":/" | default "5432" }}
{{- end }}

{{/* The loader's environment variables beyond the settings: secrets, or where they are mounted. */}}
{{- define "consumer.loaderSecrets" -}}
{{- with .Values.table.tokenSecret }}
- name: TABLE_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $.Values.table.tokenKey }}}
{{- end }}
{{- with .Values.postgres }}
{{- if .existingSecret }}
- {name: POSTGRES_DSN_FILE, value: /etc/postgres/dsn}
{{- end }}
{{- with .secretArn }}
- {name: POSTGRES_SECRET, value: {{ . | quote }}}
{{- end }}
{{- if or .ca.configMap .ca.secret }}
- {name: POSTGRES_CA_FILE, value: /etc/postgres/ca.pem}
{{- end }}
{{- end }}
{{- end }}

{{/* The volume with the loader's files. The kubelet renews them; it would not renew a mount of a single file (Kubernetes, "Secrets"). */}}
{{- define "consumer.postgresFiles" -}}
{{- with .Values.postgres }}
{{- if or .existingSecret .ca.configMap .ca.secret }}
- name: postgres
  projected:
    defaultMode: 0440
    sources:
      {{- with .existingSecret }}
      - secret: {name: {{ . }}, items: [{key: {{ $.Values.postgres.secretKey }}, path: dsn}]}
      {{- end }}
      {{- with .ca.configMap }}
      - configMap: {name: {{ . }}, items: [{key: {{ $.Values.postgres.ca.key }}, path: ca.pem}]}
      {{- end }}
      {{- with .ca.secret }}
      - secret: {name: {{ . }}, items: [{key: {{ $.Values.postgres.ca.key }}, path: ca.pem}]}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rejects wrong tables, and a PostgreSQL database that the loader could not reach. Messages never repeat a password. */}}
{{- define "consumer.validateTables" -}}
{{- $s := .Values.settings }}
{{- $names := splitList "," .Values.table.uri }}
{{- $postgres := include "consumer.postgresTable" . }}
{{- $iceberg := include "consumer.icebergTable" . }}
{{- range $names }}
{{- if contains "@" . }}{{ fail "table.uri holds a user or password: it goes into a secret, which table.tokenSecret or postgres.existingSecret names" }}{{ end }}
{{- end }}
{{- if and .Values.table.uri (ne (len $names) (add (empty $postgres | ternary 0 1) (empty $iceberg | ternary 0 1) | int)) }}{{ fail "table.uri names several tables: want at most one Apache Iceberg table and one PostgreSQL table" }}{{ end }}
{{- if and $iceberg (ne (toString $s.format) "parquet") }}{{ fail (printf "table.uri with an Apache Iceberg table needs settings.format=parquet, which is %v" $s.format) }}{{ end }}
{{- if and $postgres (eq (toString $s.format) "firehose") }}{{ fail "table.uri with a PostgreSQL table needs settings.format=jsonl or parquet, which is firehose" }}{{ end }}
{{- if and .Values.table.tokenSecret (not $iceberg) }}{{ fail "table.tokenSecret is for the catalog of table.uri, which has no Apache Iceberg table" }}{{ end }}
{{- with .Values.postgres }}
{{- $set := or .existingSecret .secretArn .ca.configMap .ca.secret }}
{{- if and $set (not $postgres) }}{{ fail "postgres is for the database of table.uri, which has no PostgreSQL table" }}{{ end }}
{{- if and .existingSecret .secretArn }}{{ fail "postgres.existingSecret and postgres.secretArn are set: want one of them" }}{{ end }}
{{- if and .ca.configMap .ca.secret }}{{ fail "postgres.ca.configMap and postgres.ca.secret are set: want one of them" }}{{ end }}
{{- if and $postgres (not .existingSecret) (not .secretArn) }}
{{- if ne (toString $s.postgresAuth) "iam" }}{{ fail "table.uri has a PostgreSQL table: want its credentials from postgres.existingSecret or postgres.secretArn, or settings.postgresAuth=iam" }}{{ end }}
{{- if not $s.postgresUser }}{{ fail "settings.postgresAuth=iam: want settings.postgresUser, or a connection string with a user in postgres.existingSecret" }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rejects wrong values before anything is installed. */}}
{{- define "consumer.validate" -}}
{{- $s := .Values.settings }}
{{- $_ := required "settings.streamName is required: the name of the Kinesis stream" $s.streamName }}
{{- $_ := required "settings.bucket is required: the S3 bucket for the files" $s.bucket }}
{{- $_ := include "consumer.image" . }}
{{- $_ := include "consumer.validateTables" . }}
{{- if $s.checkpointFile }}{{ fail "settings.checkpointFile is for a single worker on its own disk: pods keep leases and checkpoints in DynamoDB (settings.checkpointTable)" }}{{ end }}
{{- range .Values.extraEnv }}
{{- $name := .name }}
{{- range $variable, $value := dict "TABLE" "table.uri" "TABLE_TOKEN" "table.tokenSecret" "POSTGRES_DSN" "postgres.existingSecret" "POSTGRES_DSN_FILE" "postgres.existingSecret" "POSTGRES_SECRET" "postgres.secretArn" "POSTGRES_CA_FILE" "postgres.ca" }}
{{- if eq $variable $name }}{{ fail (printf "extraEnv sets %s: set %s instead" $name $value) }}{{ end }}
{{- end }}
{{- range $key, $_ := $s }}
{{- if eq (include "consumer.variable" $key) $name }}{{ fail (printf "extraEnv sets %s: set settings.%s instead" $name $key) }}{{ end }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- $shards := .shards | int }}
{{- if lt $shards 1 }}{{ fail "autoscaling.shards is required: the number of open shards of the stream. More workers than shards are of no use" }}{{ end }}
{{- if gt (.maxReplicas | default 1 | int) $shards }}{{ fail (printf "autoscaling.maxReplicas is %d, more than autoscaling.shards (%d): more workers than shards are of no use" (int .maxReplicas) $shards) }}{{ end }}
{{- if gt (.minReplicas | int) (.maxReplicas | default $shards | int) }}{{ fail (printf "autoscaling.minReplicas is %d, more than the maximum (%d)" (int .minReplicas) (.maxReplicas | default $shards | int)) }}{{ end }}
{{- if and (eq .type "keda") (not .keda.serverAddress) }}{{ fail "autoscaling.keda.serverAddress is required: the address of Prometheus, such as http://prometheus.monitoring:9090" }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The environment variable of a setting: COMMIT_INTERVAL for commitInterval. */}}
{{- define "consumer.variable" -}}
{{- regexReplaceAll "([a-z0-9])([A-Z])" . "${1}_${2}" | upper }}
{{- end }}

{{/* Environment variables that daemon, test and producer share. */}}
{{- define "consumer.awsEnv" -}}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Settings, which daemon and loader share. */}}
{{- define "consumer.env" -}}
{{- with .Values.table.uri }}
- name: TABLE
  value: {{ . | quote }}
{{- end }}
{{- range $key, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ include "consumer.variable" $key }}
  value: {{ include "consumer.text" $value | quote }}
{{- end }}
{{- end }}
{{- include "consumer.awsEnv" . }}
{{- end }}

{{/* Settings that all pods of the chart share. */}}
{{- define "consumer.podBasics" -}}
serviceAccountName: {{ include "consumer.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext: {{ toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Selects the series of the release's pods. */}}
{{- define "consumer.series" -}}
{namespace={{ .Release.Namespace | quote }},pod=~{{ printf "%s-.*" (include "consumer.fullname" .) | quote }}}
{{- end }}

{{- define "consumer.bytesQuery" -}}
sum(rate(consumer_read_bytes_total{{ include "consumer.series" . }}[15m]))
{{- end }}

{{- define "consumer.lagQuery" -}}
max(consumer_shard_behind_latest_seconds{{ include "consumer.series" . }} + (time() - consumer_shard_read_timestamp_seconds{{ include "consumer.series" . }}))
{{- end }}

{{/* The container of the loader. */}}
{{- define "consumer.loader" -}}
# Loads what the daemons of all pods have delivered. Any number may run: one of them works, and the others take over if it stops.
- name: loader
  image: {{ include "consumer.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext: {{ toYaml .Values.securityContext | nindent 4 }}
  command: [/usr/local/bin/loader]
  env: {{ include "consumer.env" . | nindent 4 }}
    {{- include "consumer.loaderSecrets" . | nindent 4 }}
  {{- with .Values.extraEnvFrom }}
  envFrom: {{ toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: loader, containerPort: {{ include "consumer.loaderPort" . }}, protocol: TCP}
  startupProbe:
    httpGet: {path: /healthz, port: loader}
    periodSeconds: 2
    failureThreshold: 150
    timeoutSeconds: 2
  livenessProbe:
    httpGet: {path: /healthz, port: loader}
    periodSeconds: 20
    failureThreshold: 3
    timeoutSeconds: 5
  # There is no readiness probe: a catalog or database that is out must not make the daemon's pod unready, nor stop its rollout.
  resources: {{ toYaml .Values.table.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- if include "consumer.postgresFiles" . }}
    - {name: postgres, mountPath: /etc/postgres, readOnly: true}
    {{- end }}
    {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
