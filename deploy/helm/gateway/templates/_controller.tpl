{{/* The controller's container and volumes. */}}

{{- define "gateway.controller.container" -}}
{{- $controller := .Values.gateway.controller -}}
{{- $deployment := $controller.deployment -}}
- name: gateway-controller
  image: {{ include "gateway.image" (list . $controller.image) }}
  imagePullPolicy: {{ $controller.image.pullPolicy }}
  args: ["-config", "/etc/gateway-controller/config.toml"]
  env:
    {{- include "gateway.controller.env" . | trim | nindent 4 }}
  {{- with $deployment.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: rest, containerPort: {{ include "gateway.ports.rest" . }}, protocol: TCP}
    - {name: xds, containerPort: {{ include "gateway.ports.xds" . }}, protocol: TCP}
    - {name: admin, containerPort: {{ include "gateway.ports.admin" . }}, protocol: TCP}
    - {name: metrics, containerPort: {{ include "gateway.ports.metrics" . }}, protocol: TCP}
  {{- include "gateway.probes" $deployment | trim | nindent 2 }}
  {{- $pause := dict "preStop" (dict "exec" (dict "command" (list "sleep" "5"))) }}
  {{- $lifecycle := $deployment.lifecycle | default (ternary dict $pause (eq (include "gateway.storageType" .) "sqlite")) }}
  {{- with include "gateway.lifecycle" $lifecycle }}{{ . | nindent 2 }}{{ end }}
  resources:
    {{- toYaml $deployment.resources | nindent 4 }}
  securityContext:
    {{- toYaml $deployment.securityContext | nindent 4 }}
  volumeMounts:
    {{- include "gateway.controller.mounts" . | nindent 4 }}
{{- end -}}

{{/* Without a token in the values there is no entry for it: it would hide the one of an extraEnvFrom. */}}
{{- define "gateway.controller.env" -}}
{{- $controller := .Values.gateway.controller -}}
{{- $token := $controller.controlPlane.token -}}
{{- range $name := list "APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN" "APIP_GW_GATEWAY_REGISTRATION_TOKEN" -}}
{{- if $token.secretName }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $token.secretName }}
      key: {{ $token.key | default "token" }}
{{- else if $token.value }}
- name: {{ $name }}
  value: {{ $token.value | quote }}
{{- end }}
{{- end }}
- name: GATEWAY_CONTROLLER_HOST
  value: {{ $controller.deployment.env.gatewayControllerHost | default (include "gateway.controllerHost" .) | quote }}
{{- $password := $controller.postgres.passwordSecretRef }}
{{- if and $password.name (eq (include "gateway.storageType" .) "postgres") }}
- name: APIP_GW_CONTROLLER_STORAGE_POSTGRES_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $password.name }}
      key: {{ $password.key | default "password" }}
{{- end }}
{{- with $controller.deployment.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.controller.mounts" -}}
{{- $controller := .Values.gateway.controller -}}
{{- $deployment := $controller.deployment -}}
- name: controller-data
  mountPath: {{ $deployment.volumeMountPath }}
- name: controller-config
  mountPath: /etc/gateway-controller/config.toml
  subPath: config.toml
  readOnly: true
- name: controller-tmp
  mountPath: /tmp
{{- if include "gateway.certificateProvider" . }}
- name: listener-certs
  mountPath: /app/listener-certs
  readOnly: true
{{- end }}
{{- if $controller.upstreamCerts.enabled }}
- name: upstream-certs
  mountPath: /app/certificates
  readOnly: true
{{- end }}
{{- if $controller.encryptionKeys.enabled }}
- name: encryption-keys
  mountPath: {{ $controller.encryptionKeys.mountPath }}
  readOnly: true
{{- end }}
{{- if include "gateway.controlPlane.caVolume" . }}
- name: control-plane-ca
  mountPath: /etc/gateway-controller/control-plane-ca
  readOnly: true
{{- end }}
{{- if include "gateway.xdsTls" . }}
- name: xds-tls
  mountPath: /etc/gateway-controller/xds-tls
  readOnly: true
{{- end }}
{{- with $deployment.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.controller.volumes" -}}
{{- $controller := .Values.gateway.controller -}}
- name: controller-data
  {{- if include "gateway.hasVolume" . }}
  persistentVolumeClaim:
    claimName: {{ $controller.persistence.existingClaim | default (include "gateway.named" (list . "controller-data")) }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: controller-config
  configMap:
    name: {{ include "gateway.named" (list . "config") }}
    items:
      - {key: config.toml, path: config.toml}
- name: controller-tmp
  emptyDir: {}
{{- $provider := include "gateway.certificateProvider" . }}
{{- if $provider }}
{{- $secret := $controller.tls.secret }}
- name: listener-certs
  secret:
    secretName: {{ include "gateway.certificateSecret" . }}
    items:
      - {key: {{ ternary $secret.certKey "tls.crt" (eq $provider "secret") }}, path: default-listener.crt}
      - {key: {{ ternary $secret.keyKey "tls.key" (eq $provider "secret") }}, path: default-listener.key}
{{- end }}
{{- if $controller.upstreamCerts.enabled }}
- name: upstream-certs
  {{- if $controller.upstreamCerts.secretName }}
  secret:
    secretName: {{ $controller.upstreamCerts.secretName }}
  {{- else }}
  configMap:
    name: {{ $controller.upstreamCerts.configMapName }}
  {{- end }}
{{- end }}
{{- if $controller.encryptionKeys.enabled }}
- name: encryption-keys
  secret:
    secretName: {{ $controller.encryptionKeys.secretName }}
{{- end }}
{{- if include "gateway.controlPlane.caVolume" . }}
{{- $ca := $controller.controlPlane.ca }}
- name: control-plane-ca
  {{- if $ca.secretName }}
  secret:
    secretName: {{ $ca.secretName }}
  {{- else }}
  configMap:
    name: {{ $ca.configMapName }}
  {{- end }}
    items:
      - {key: {{ $ca.key }}, path: ca.crt}
{{- end }}
{{- if include "gateway.xdsTls" . }}
- name: xds-tls
  secret:
    secretName: {{ include "gateway.xdsSecret" (list . "controller") }}
{{- end }}
{{- with $controller.deployment.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
