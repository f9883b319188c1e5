{{- define "mcpstead.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mcpstead.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mcpstead.labels" -}}
{{ include "mcpstead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The Secret with the state key. There is no default: replicas trust whoever has it. */}}
{{- define "mcpstead.stateSecret" -}}
{{- if .Values.stateKey.existingSecret -}}
{{- .Values.stateKey.existingSecret -}}
{{- else if .Values.stateKey.value -}}
{{- if lt (len .Values.stateKey.value) 43 -}}
{{- fail "stateKey.value must be 32 bytes in base64url, as from: node -p \"crypto.randomBytes(32).toString('base64url')\"" -}}
{{- end -}}
{{- printf "%s-state" (include "mcpstead.fullname" .) -}}
{{- else -}}
{{- fail "a state key is required: set stateKey.existingSecret to a Secret with the key state-key, or stateKey.value, as from: node -p \"crypto.randomBytes(32).toString('base64url')\"" -}}
{{- end -}}
{{- end -}}

{{/* What the chart sets has priority over .Values.config. */}}
{{- define "mcpstead.config" -}}
{{- $replicas := int .Values.replicaCount -}}
{{- if .Values.autoscaling.enabled -}}{{- $replicas = int .Values.autoscaling.maxReplicas -}}{{- end -}}
{{- if and (gt $replicas 1) (not .Values.store.existingSecret) -}}
{{- fail "more than one replica needs a store: set store.existingSecret to a Secret with the URL of a Valkey or Redis server under the key url, or replicaCount: 1" -}}
{{- end -}}
{{- $own := dict "host" "0.0.0.0" "port" (int .Values.port) "watch" true
    "http" (dict "drain_delay_seconds" (int .Values.drainDelaySeconds))
    "mcp" (dict "session" (dict "shutdown_grace_seconds" (int .Values.shutdownGraceSeconds))) -}}
{{- if .Values.store.existingSecret -}}
{{- $_ := set $own "fleet" (dict "name" "${POD_NAME}" "listen" (dict "host" "${POD_IP}" "port" (int .Values.peerPort))) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{- define "mcpstead.scheme" -}}
{{- if dig "http" "tls" "cert_file" "" .Values.config -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}
