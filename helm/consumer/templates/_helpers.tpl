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
{{- $repository := required "image.repository is required: where the image lies, as ghcr.io/OWNER/aws-streaming-pipeline" .Values.image.repository }}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}
{{- else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* A number as text: Helm reads numbers as floats, which print 1000000 as 1e+06. */}}
{{- define "consumer.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{/* Bytes of a size, the daemon's (256MiB) or Kubernetes's (256Mi). */}}
{{- define "consumer.bytes" -}}
{{- $text := include "consumer.text" . | trim }}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text }}
{{- $unit := $text | trimPrefix $number | trim }}
{{- $factors := dict "" 1 "B" 1 "k" 1e3 "kB" 1e3 "KB" 1e3 "M" 1e6 "MB" 1e6 "G" 1e9 "GB" 1e9 "T" 1e12 "TB" 1e12 "Ki" 1024 "KiB" 1024 "Mi" 1048576 "MiB" 1048576 "Gi" 1073741824 "GiB" 1073741824 "Ti" 1099511627776 "TiB" 1099511627776 }}
{{- if or (eq $number "") (not (hasKey $factors $unit)) }}{{ fail (printf "%q is no size: want one as 256MiB" $text) }}{{ end }}
{{- mulf (float64 $number) (get $factors $unit) | ceil | int64 }}
{{- end }}

{{/* Seconds of a duration as 1m30s, rounded up. */}}
{{- define "consumer.seconds" -}}
{{- $text := toString . }}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" $text) }}{{ fail (printf "%q is no duration: want one as 90s or 1m30s" $text) }}{{ end }}
{{- $factors := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" $text -1 }}
{{- $unit := regexFind "[a-z]+$" . }}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $factors $unit)) }}
{{- end }}
{{- ceil $sum | int64 }}
{{- end }}

{{/* Mebibytes below which the daemon itself warns that its container is too small: the budget, a thirty-second of it and
     32 MiB for the Go runtime have to fit into nine tenths of it. */}}
{{- define "consumer.memoryNeeded" -}}
{{- divf (addf (mulf (divf (include "consumer.bytes" .Values.settings.memoryBudget | float64) 1048576) 1.03125) 32) 0.9 | ceil | int64 }}
{{- end }}

{{/* Mebibytes that the process is measured to keep to, and a tenth to spare: 72 MiB and the budget with a tenth on top. */}}
{{- define "consumer.memoryDerived" -}}
{{- mulf (addf (mulf (divf (include "consumer.bytes" .Values.settings.memoryBudget | float64) 1048576) 1.1) 72) 1.1 | ceil | int64 }}
{{- end }}

{{/* Resources, with the memory that follows from the budget unless it is given. */}}
{{- define "consumer.resources" -}}
{{- $needed := include "consumer.memoryNeeded" . | int64 }}
{{- $limits := .Values.resources.limits | default dict }}
{{- $requests := .Values.resources.requests | default dict }}
{{- $derived := printf "%sMi" (include "consumer.memoryDerived" .) }}
{{- $limit := $limits.memory | default $derived }}
{{- if lt (include "consumer.bytes" $limit | int64) (mul $needed 1048576) }}
{{- fail (printf "resources.limits.memory is %v, too little for settings.memoryBudget (%v) and the process: the pod would be killed under load. Want %dMi or more, or nothing to have it derived" $limit .Values.settings.memoryBudget $needed) }}
{{- end }}
{{- $all := dict "limits" (merge (dict "memory" $limit) $limits) "requests" (merge (dict "memory" ($requests.memory | default $limit)) $requests) }}
{{- toYaml $all }}
{{- end }}

{{/* Seconds between SIGTERM and SIGKILL: the longest that the daemon can take. Handing over takes SHUTDOWN_GRACE at
     most, publishing as long again, giving leases back and signing off FAILOVER_TIME each; then the status page closes. */}}
{{- define "consumer.grace" -}}
{{- add (mul 2 (include "consumer.seconds" .Values.settings.shutdownGrace | int64)) (mul 2 (include "consumer.seconds" .Values.settings.failoverTime | int64)) 10 }}
{{- end }}

{{- define "consumer.port" -}}
{{- $port := regexFind "[0-9]+$" (.Values.settings.httpAddress | default "") }}
{{- if not $port }}{{ fail "settings.httpAddress has to name a port: the probes ask there" }}{{ end }}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" .Values.settings.httpAddress }}{{ fail "settings.httpAddress is a loopback address: the probes can not reach it" }}{{ end }}
{{- $port }}
{{- end }}

{{/* What is refused before anything is installed. */}}
{{- define "consumer.validate" -}}
{{- $s := .Values.settings }}
{{- $_ := required "settings.streamName is required: the name of the Kinesis stream" $s.streamName }}
{{- $_ := required "settings.bucket is required: the S3 bucket that takes the files" $s.bucket }}
{{- $_ := include "consumer.image" . }}
{{- if $s.checkpointFile }}{{ fail "settings.checkpointFile is for a single worker on its own disk: pods keep leases and checkpoints in DynamoDB (settings.checkpointTable)" }}{{ end }}
{{- range .Values.extraEnv }}
{{- $name := .name }}
{{- range $key, $_ := $s }}
{{- if eq (include "consumer.variable" $key) $name }}{{ fail (printf "extraEnv sets %s: set settings.%s instead" $name $key) }}{{ end }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- $shards := .shards | int }}
{{- if lt $shards 1 }}{{ fail "autoscaling.shards is required: the open shards of the stream. A worker beyond their number has nothing to do" }}{{ end }}
{{- if gt (.maxReplicas | default 1 | int) $shards }}{{ fail (printf "autoscaling.maxReplicas is %d, more than autoscaling.shards (%d): a worker beyond the shards has nothing to do" (int .maxReplicas) $shards) }}{{ end }}
{{- if gt (.minReplicas | int) (.maxReplicas | default $shards | int) }}{{ fail (printf "autoscaling.minReplicas is %d, more than the most replicas (%d)" (int .minReplicas) (.maxReplicas | default $shards | int)) }}{{ end }}
{{- if and (eq .type "keda") (not .keda.serverAddress) }}{{ fail "autoscaling.keda.serverAddress is required: the address of Prometheus, as http://prometheus.monitoring:9090" }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* COMMIT_INTERVAL of commitInterval. */}}
{{- define "consumer.variable" -}}
{{- regexReplaceAll "([a-z0-9])([A-Z])" . "${1}_${2}" | upper }}
{{- end }}

{{/* The environment that daemon, test and producer share. */}}
{{- define "consumer.awsEnv" -}}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "consumer.env" -}}
{{- range $key, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ include "consumer.variable" $key }}
  value: {{ include "consumer.text" $value | quote }}
{{- end }}
{{- end }}
{{- include "consumer.awsEnv" . }}
{{- end }}

{{/* What every pod of the chart has in common. */}}
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

{{/* What picks the series of the release's pods. */}}
{{- define "consumer.series" -}}
{namespace={{ .Release.Namespace | quote }},pod=~{{ printf "%s-.*" (include "consumer.fullname" .) | quote }}}
{{- end }}

{{- define "consumer.bytesQuery" -}}
sum(rate(consumer_read_bytes_total{{ include "consumer.series" . }}[15m]))
{{- end }}

{{- define "consumer.lagQuery" -}}
max(consumer_shard_behind_latest_seconds{{ include "consumer.series" . }} + (time() - consumer_shard_read_timestamp_seconds{{ include "consumer.series" . }}))
{{- end }}
