{{/* The router's container and volumes. */}}

{{- define "gateway.router.container" -}}
{{- $runtime := .Values.gateway.gatewayRuntime -}}
{{- $deployment := $runtime.deployment -}}
- name: gateway-runtime
  image: {{ include "gateway.image" (list . $runtime.image) }}
  imagePullPolicy: {{ $runtime.image.pullPolicy }}
  args: ["--pol.config", "/etc/policy-engine/config.toml"]
  env:
    - name: GATEWAY_CONTROLLER_HOST
      value: {{ include "gateway.controllerHost" . | quote }}
    - name: LOG_LEVEL
      value: {{ $deployment.env.logLevel | quote }}
    - name: ROUTER_ADMIN_ENABLED
      value: {{ $deployment.env.routerAdminEnabled | quote }}
    {{- if $runtime.service.expose.routerAdmin }}
    - name: ROUTER_ADMIN_HOST
      value: "0.0.0.0"
    {{- end }}
    {{- with $deployment.env.moesifKey }}
    - name: MOESIF_KEY
      value: {{ . | quote }}
    {{- end }}
    {{- with $deployment.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $deployment.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: http, containerPort: {{ include "gateway.ports.http" . }}, protocol: TCP}
    {{- if include "gateway.httpsEnabled" . }}
    - {name: https, containerPort: {{ include "gateway.ports.https" . }}, protocol: TCP}
    {{- end }}
    - {name: pe-admin, containerPort: {{ include "gateway.ports.peAdmin" . }}, protocol: TCP}
    {{- if include "gateway.routerMetricsEnabled" . }}
    - {name: pe-metrics, containerPort: {{ include "gateway.ports.peMetrics" . }}, protocol: TCP}
    {{- end }}
    {{- if $runtime.service.expose.routerAdmin }}
    - {name: router-admin, containerPort: 9901, protocol: TCP}
    {{- end }}
  {{- include "gateway.router.probes" . | trim | nindent 2 }}
  {{- with include "gateway.lifecycle" $deployment.lifecycle }}{{ . | nindent 2 }}{{ end }}
  resources:
    {{- toYaml $deployment.resources | nindent 4 }}
  securityContext:
    {{- toYaml $deployment.securityContext | nindent 4 }}
  volumeMounts:
    - name: gateway-config
      mountPath: /etc/policy-engine/config.toml
      subPath: router.toml
      readOnly: true
    - name: router-state
      mountPath: /app/data
    - name: router-tmp
      mountPath: /tmp
    {{- if $runtime.policies.llmPricing.configMapName }}
    - name: llm-pricing
      mountPath: /etc/policy-engine/llm-pricing
      readOnly: true
    {{- end }}
    {{- if include "gateway.trafficLogVolume" . }}
    - name: traffic-log
      mountPath: {{ $runtime.trafficLogVolume.mountPath }}
    {{- end }}
    {{- if include "gateway.xdsTls" . }}
    - name: xds-tls
      mountPath: /etc/policy-engine/xds-tls
      readOnly: true
    {{- end }}
    {{- with $deployment.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* HTTP probes always ask the listener that is open; others stay as they are. */}}
{{- define "gateway.router.probes" -}}
{{- $deployment := .Values.gateway.gatewayRuntime.deployment -}}
{{- $https := include "gateway.httpsEnabled" . -}}
{{- $probes := dict -}}
{{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- with index $deployment $name -}}
{{- $probe := deepCopy . -}}
{{- if $probe.httpGet -}}
{{- $_ := set $probe.httpGet "port" (ternary "https" "http" (ne $https "")) -}}
{{- $_ := set $probe.httpGet "scheme" (ternary "HTTPS" "HTTP" (ne $https "")) -}}
{{- end -}}
{{- $_ := set $probes $name $probe -}}
{{- end -}}
{{- end -}}
{{- include "gateway.probes" $probes -}}
{{- end -}}

{{- define "gateway.router.volumes" -}}
{{- $runtime := .Values.gateway.gatewayRuntime -}}
- name: gateway-config
  configMap:
    name: {{ include "gateway.named" (list . "config") }}
    items:
      - {key: router.toml, path: router.toml}
- name: router-state
  emptyDir: {}
- name: router-tmp
  emptyDir: {}
{{- with $runtime.policies.llmPricing.configMapName }}
- name: llm-pricing
  configMap:
    name: {{ . }}
{{- end }}
{{- if include "gateway.trafficLogVolume" . }}
- name: traffic-log
  emptyDir:
    sizeLimit: {{ $runtime.trafficLogVolume.sizeLimit }}
    {{- with $runtime.trafficLogVolume.medium }}
    medium: {{ . }}
    {{- end }}
{{- end }}
{{- if include "gateway.xdsTls" . }}
- name: xds-tls
  secret:
    secretName: {{ include "gateway.xdsSecret" (list . "router") }}
{{- end }}
{{- with $runtime.deployment.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
