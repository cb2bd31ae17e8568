{{- define "erawan.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "erawan" $name) }}{{ $name = printf "%s-erawan" $name }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "erawan.selector" -}}
app.kubernetes.io/name: erawan
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "erawan.labels" -}}
{{ include "erawan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "erawan.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "erawan.redisHost" -}}
{{- if .Values.redis.enabled }}{{ include "erawan.name" . }}-redis
{{- else if .Values.redis.url }}
{{- else }}{{ required "redis.host, redis.url or redis.enabled is needed" .Values.redis.host }}{{ end -}}
{{- end }}

{{- define "erawan.mqHost" -}}
{{- if .Values.mqService.enabled }}{{ include "erawan.name" . }}-mq
{{- else }}{{ required "messageQueue.host or mqService.enabled is needed" .Values.messageQueue.host }}{{ end -}}
{{- end }}

{{/* Of every pod: no token, no environment variables of other Services, which
     would be taken for settings (MASTER_SERVER_PORT=tcp://...), no privilege. */}}
{{- define "erawan.pod" -}}
serviceAccountName: {{ include "erawan.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 999
  runAsGroup: 999
  fsGroup: 999
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
tolerations:
  # Off a machine that is gone soon, not after five minutes.
  - { key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30 }
  - { key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30 }
{{- with .Values.tolerations }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{- define "erawan.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* A process of the node. */}}
{{- define "erawan.process" -}}
image: {{ include "erawan.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "erawan.containerSecurity" . }}
envFrom:
  - configMapRef: { name: {{ include "erawan.name" . }} }
  {{- range .Values.environmentSecrets }}
  - secretRef: { name: {{ . }} }
  {{- end }}
# Both roles are ready when they do their work; a standby does.
startupProbe: { httpGet: { path: /health, port: metrics }, periodSeconds: 2, failureThreshold: 60, timeoutSeconds: 2 }
livenessProbe: { httpGet: { path: /health, port: metrics }, periodSeconds: 5, failureThreshold: 6, timeoutSeconds: 3 }
readinessProbe: { httpGet: { path: /ready, port: metrics }, periodSeconds: 2, failureThreshold: 1, timeoutSeconds: 2 }
{{- end }}

{{- define "erawan.mounts" -}}
- { name: keys, mountPath: /run/keys, readOnly: true }
{{- if .Values.certManager.enabled }}
- { name: tls, mountPath: /run/tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "erawan.volumes" -}}
- name: keys
  projected:
    defaultMode: 0440
    sources:
      - secret: { name: {{ .Values.keys.secret }} }
      - secret: { name: {{ .Values.clusterToken.secret }} }
      {{- if .Values.dashboard.enabled }}
      - secret: { name: {{ .Values.dashboard.tokensSecret }} }
      {{- end }}
{{- if .Values.certManager.enabled }}
- name: tls
  secret: { secretName: {{ include "erawan.name" . }}-tls, defaultMode: 0440 }
{{- end }}
{{- end }}

{{/* Not all on one machine, nor in one zone, if there are several. */}}
{{- define "erawan.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "erawan.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
  {{- end }}
{{- end }}

{{- define "erawan.termination" -}}
{{ add .Values.stop.graceSeconds 5 }}
{{- end }}
