{{/* What the objects share. Names are fixed, as in deploy/k8s: one release in a namespace. */}}

{{- define "calig.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  app.kubernetes.io/part-of: calig
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{- define "calig.selector" -}}
{ app.kubernetes.io/name: calig, app.kubernetes.io/component: {{ . }} }
{{- end }}

{{/* A pod's metadata; a change of what it reads, configuration but no secrets, rolls the pods. */}}
{{- define "calig.podMetadata" -}}
{{- $root := index . 0 -}}
labels:
  app.kubernetes.io/name: calig
  app.kubernetes.io/component: {{ index . 1 }}
  app.kubernetes.io/part-of: calig
annotations:
  checksum/environment: {{ include "calig.environment" $root | sha256sum }}
  {{- if has (index . 1) (list "listener" "worker") }}
  checksum/watch: {{ include "calig.watch" $root | sha256sum }}
  {{- end }}
{{- end }}

{{/* Pod Security Standards, level restricted. */}}
{{- define "calig.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.openshift }}
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "calig.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "calig.nodes" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "calig.serviceAccount" -}}
{{- $root := index . 0 -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "calig.metadata" (list $root (index . 1)) | nindent 2 }}
  {{- with index . 2 }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- with $root.Values.pullSecret }}
imagePullSecrets: [{ name: {{ . }} }]
{{- end }}
{{- end }}

{{/* A worker's health: nothing sends it requests, but a rollout waits until it asks for runs. */}}
{{- define "calig.workerProbes" -}}
ports: [{ name: health, containerPort: 8081 }]
startupProbe:
  httpGet: { path: /health, port: health }
  periodSeconds: 5
  failureThreshold: 36
livenessProbe:
  httpGet: { path: /health, port: health }
  periodSeconds: 30
  timeoutSeconds: 5
  failureThreshold: 4
readinessProbe:
  httpGet: { path: /health, port: health }
  periodSeconds: 15
  timeoutSeconds: 5
{{- end }}

{{/* Environment variables of every process. */}}
{{- define "calig.environment" -}}
{{- $fixed := dict
  "MLFLOW_TRACKING_URI" .Values.mlflow.trackingUri
  "PREFECT_API_URL" .Values.prefect.apiUrl
  "CALIG_WATCH" "/etc/calig/watch.yaml"
  "PREFECT_LOCAL_STORAGE_PATH" "/var/lib/calig/runs/.cache/prefect" }}
{{- range $name, $value := merge $fixed .Values.environment }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/* Files below /etc/calig. Settings are those of every model unless the watched models name others. */}}
{{- define "calig.watch" -}}
{{- $watch := deepCopy .Values.watch }}
{{- if .Values.settings }}
{{- $_ := set $watch "defaults" (merge (default dict $watch.defaults) (dict "config" "/etc/calig/settings.yaml")) }}
settings.yaml: | {{- toYaml .Values.settings | nindent 2 }}
{{- end }}
watch.yaml: | {{- toYaml $watch | nindent 2 }}
{{- end }}
