{{/* Names and labels. */}}
{{- define "consumer.fullname" -}}
{{- $name := include "consumer.name" . }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "consumer.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The labels of all pods of the release, and nothing that an upgrade may change. */}}
{{- define "consumer.instance" -}}
app.kubernetes.io/name: {{ include "consumer.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "consumer.selector" -}}
{{ include "consumer.instance" . }}
app.kubernetes.io/component: daemon
{{- end }}

{{/* The labels of a resource: (list root component labels...). A later one overrides an earlier one, but none overrides the chart's own. */}}
{{- define "consumer.labels" -}}
{{- $root := index . 0 }}
{{- $own := include "consumer.ownLabels" $root | fromYaml }}
{{- with index . 1 }}{{ $_ := set $own "app.kubernetes.io/component" . }}{{ end }}
{{- $all := omit ($root.Values.commonLabels | default dict) "app.kubernetes.io/component" }}
{{- range rest (rest .) }}{{ $all = merge dict (. | default dict) $all }}{{ end }}
{{- include "consumer.texts" (merge dict $own $all) }}
{{- end }}

{{/* A map with its values as texts: Kubernetes refuses a label or annotation that is a number or true. */}}
{{- define "consumer.texts" -}}
{{- $texts := dict }}
{{- range $key, $value := . }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $texts $key (include "consumer.text" $value) }}{{ end }}{{ end }}
{{- toYaml $texts }}
{{- end }}

{{/* The annotations of a resource, with more of its own: (list root annotations...). Empty if there are none. */}}
{{- define "consumer.annotations" -}}
{{- $all := (first .).Values.commonAnnotations | default dict }}
{{- range rest . }}{{ $all = merge dict (. | default dict) $all }}{{ end }}
{{- with $all -}}
annotations: {{ include "consumer.texts" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "consumer.ownLabels" -}}
{{ include "consumer.instance" . }}
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
{{- include "consumer.exactSeconds" . | float64 | ceil | int64 }}
{{- end }}

{{- define "consumer.exactSeconds" -}}
{{- $text := toString . }}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$" $text) }}{{ fail (printf "%q: want a duration such as 90s or 1m30s" $text) }}{{ end }}
{{- $factors := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" $text -1 }}
{{- $unit := regexFind "[a-z]+$" . }}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $factors $unit)) }}
{{- end }}
{{- $sum }}
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

{{/* Bytes of the spool's volume: a tenth more than the daemon ever writes, for the file system. */}}
{{- define "consumer.spoolBytes" -}}
{{- mulf (include "consumer.bytes" .Values.settings.spoolSize | float64) 1.1 | ceil | int64 }}
{{- end }}

{{/* Mebibytes of the node's disk: the spool, if it is on the node, and 128 MiB for logs. */}}
{{- define "consumer.diskNeeded" -}}
{{- $spool := 0 }}
{{- if and .Values.settings.spoolDir (eq .Values.spool.type "emptyDir") }}{{ $spool = include "consumer.spoolBytes" . | float64 }}{{ end }}
{{- addf (divf $spool 1048576) 128 | ceil | int64 }}
{{- end }}

{{/* Resources. Memory is derived from the budget, and the disk from the spool, unless they are given. */}}
{{- define "consumer.resources" -}}
{{- $needed := include "consumer.memoryNeeded" . | int64 }}
{{- $limits := .Values.resources.limits | default dict }}
{{- $requests := .Values.resources.requests | default dict }}
{{- $derived := printf "%sMi" (include "consumer.memoryDerived" .) }}
{{- $limit := $limits.memory | default $derived }}
{{- if lt (include "consumer.bytes" $limit | int64) (mul $needed 1048576) }}
{{- fail (printf "resources.limits.memory is %v, too little for settings.memoryBudget (%v) and the process: the pod would be killed under load. Want %dMi or more, or unset to derive it" $limit .Values.settings.memoryBudget $needed) }}
{{- end }}
{{- $diskNeeded := include "consumer.diskNeeded" . | int64 }}
{{- $disk := index $limits "ephemeral-storage" }}
{{- if $disk }}
{{- if lt (include "consumer.bytes" $disk | int64) (mul $diskNeeded 1048576) }}
{{- fail (printf "resources.limits.ephemeral-storage is %v, too little for settings.spoolSize (%v): the pod would be evicted when the spool fills. Want %dMi or more, or unset to derive it" $disk .Values.settings.spoolSize $diskNeeded) }}
{{- end }}
{{- else }}
{{- /* The limit is of all that the pod writes: also what tools put into /tmp. */}}
{{- $disk = printf "%dMi" (add $diskNeeded (divf (include "consumer.bytes" .Values.tmpSize | float64) 1048576 | ceil | int64)) }}
{{- end }}
{{- $derivedRequests := dict "memory" ($requests.memory | default $limit) "ephemeral-storage" (hasKey $requests "ephemeral-storage" | ternary (index $requests "ephemeral-storage") (printf "%dMi" $diskNeeded)) }}
{{- range $name, $most := dict "memory" $limit "ephemeral-storage" $disk }}
{{- $request := get $derivedRequests $name }}
{{- if gt (include "consumer.bytes" $request | int64) (include "consumer.bytes" $most | int64) }}
{{- fail (printf "resources.requests.%s is %v, more than the limit, %v: want a lower request, or a higher resources.limits.%s" $name $request $most $name) }}
{{- end }}
{{- end }}
{{- toYaml (dict "limits" (merge (dict "memory" $limit "ephemeral-storage" $disk) $limits) "requests" (mergeOverwrite $derivedRequests $requests)) }}
{{- end }}

{{/* Seconds between SIGTERM and SIGKILL: the longest that the daemon can take. Handing over takes at most SHUTDOWN_GRACE,
     publishing the same time again, releasing leases and signing off FAILOVER_TIME each; then the status page closes. */}}
{{- define "consumer.grace" -}}
{{- .Values.terminationGracePeriodSeconds | default (include "consumer.graceNeeded" .) | int }}
{{- end }}

{{- define "consumer.graceNeeded" -}}
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

{{/* The volume, the mount and the checksum of the records' schema, which daemon, loader and tests read. */}}
{{- define "consumer.schemaVolume" -}}
{{- with .Values.schema }}
{{- if or .document .existingConfigMap }}
- name: schema
  configMap:
    name: {{ .existingConfigMap | default (printf "%s-schema" (include "consumer.fullname" $)) }}
    items: [{key: {{ .key }}, path: schema.json}]
{{- end }}
{{- end }}
{{- end }}

{{- define "consumer.schemaMount" -}}
{{- if or .Values.schema.document .Values.schema.existingConfigMap }}
- {name: schema, mountPath: /etc/consumer, readOnly: true}
{{- end }}
{{- end }}

{{/* What the pods read when they start: a change of it replaces them. */}}
{{- define "consumer.checksums" -}}
{{- with .Values.schema.document }}
checksum/schema: {{ sha256sum . }}
{{- end }}
{{- end }}

{{/* Settings, which daemon and loader share. */}}
{{- define "consumer.env" -}}
{{- $schema := or .Values.schema.document .Values.schema.existingConfigMap }}
{{- with .Values.table.uri }}
- name: TABLE
  value: {{ . | quote }}
{{- end }}
{{- if $schema }}
- name: SCHEMA
  value: /etc/consumer/schema.json
{{- end }}
{{- range $key, $value := .Values.settings }}
{{- if not (or (kindIs "invalid" $value) (and $schema (eq $key "schema"))) }}
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
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $.Values $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- range $key := list "hostAliases" "dnsConfig" }}
{{- with get $.Values $key }}
{{ $key }}: {{ toYaml . | nindent 2 }}
{{- end }}
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
    {{- with include "consumer.schemaMount" . }}{{ . | nindent 4 }}{{ end }}
    {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
