{{/* What the Pods of controller and router have in common. */}}

{{/* Names of pull secrets: of all parts, then of one. Plain names and {name: …} both count. Takes (list $ names). */}}
{{- define "gateway.imagePullSecrets" -}}
{{- $root := index . 0 -}}
{{- $names := list -}}
{{- with $root.Values.wso2.subscription.imagePullSecret -}}{{- $names = append $names . -}}{{- end -}}
{{- range concat ($root.Values.imagePullSecrets | default list) (index . 1 | default list) -}}
{{- if kindIs "map" . -}}{{- $names = append $names .name -}}{{- else -}}{{- $names = append $names . -}}{{- end -}}
{{- end -}}
{{- if $names -}}
imagePullSecrets:
  {{- range uniq $names }}
  - name: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "gateway.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion | toString) | quote -}}
{{- end -}}

{{/* Where and how a Pod runs. Takes (list $ deployment). */}}
{{- define "gateway.scheduling" -}}
{{- $deployment := index . 1 -}}
{{- range $name := list "priorityClassName" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "hostAliases" "dnsPolicy" "dnsConfig" }}
{{- with index $deployment $name }}
{{ $name }}:
  {{- if kindIs "string" . }} {{ . | quote }}
  {{- else }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" $deployment.terminationGracePeriodSeconds) }}
terminationGracePeriodSeconds: {{ int64 $deployment.terminationGracePeriodSeconds }}
{{- end }}
{{- end -}}

{{/* Probes as given. Takes (list deployment). */}}
{{- define "gateway.probes" -}}
{{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with index $ $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What happens before a container is stopped. Takes the map. */}}
{{- define "gateway.lifecycle" -}}
{{- with . -}}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* metadata of a Pod template: Pods are replaced when the file that they read has changed. Takes (list $ deployment component). */}}
{{- define "gateway.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $deployment := index . 1 -}}
{{- $given := omit ($deployment.podAnnotations | default dict) "checksum/config" -}}
{{- $files := ternary (list "router") (list "controller") (eq (index . 2) "gateway-runtime") -}}
{{- if $root.Values.gateway.allInOne.enabled -}}{{- $files = list "controller" "router" -}}{{- end -}}
{{- $content := "" -}}
{{- range $files -}}{{- $content = print $content (include (printf "gateway.file.%s" .) $root) -}}{{- end -}}
{{- $checksum := dict "checksum/config" (sha256sum $content) -}}
labels:
  {{- include "gateway.labels" (list $root (index . 2) ($deployment.podLabels | default dict)) | nindent 2 }}
{{ include "gateway.annotations" (list $root $given $checksum) }}
{{- end -}}

{{/* What spec of a Service is about its network. Takes (service). */}}
{{- define "gateway.serviceNetwork" -}}
type: {{ .type }}
{{- with .clusterIP }}
clusterIP: {{ . | quote }}
{{- end }}
{{- if and .externalTrafficPolicy (has .type (list "NodePort" "LoadBalancer")) }}
externalTrafficPolicy: {{ .externalTrafficPolicy }}
{{- end }}
{{- if eq .type "LoadBalancer" }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* One port of a Service. Takes (list service name key). */}}
{{- define "gateway.servicePort" -}}
{{- $service := index . 0 -}}
{{- $key := index . 2 -}}
- name: {{ index . 1 }}
  port: {{ index $service.ports $key | int64 }}
  targetPort: {{ index . 1 }}
  protocol: TCP
  {{- $node := index ($service.nodePorts | default dict) $key }}
  {{- if and $node (has $service.type (list "NodePort" "LoadBalancer")) }}
  nodePort: {{ $node | int64 }}
  {{- end }}
{{- end -}}

{{/* A HorizontalPodAutoscaler. Takes (list $ part "suffix" "component"). */}}
{{- define "gateway.hpa" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $hpa := $part.hpa -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "gateway.named" (list $root (index . 2)) }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "gateway.labels" (list $root (index . 3)) | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "gateway.named" (list $root (index . 2)) }}
  minReplicas: {{ int64 $hpa.minReplicas }}
  maxReplicas: {{ int64 $hpa.maxReplicas }}
  metrics:
    {{- range $resource, $target := dict "cpu" $hpa.targetCPUUtilizationPercentage "memory" $hpa.targetMemoryUtilizationPercentage }}
    {{- if $target }}
    - type: Resource
      resource:
        name: {{ $resource }}
        target:
          type: Utilization
          averageUtilization: {{ int64 $target }}
    {{- end }}
    {{- end }}
    {{- with $hpa.customMetrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $hpa.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* A PodDisruptionBudget. Takes as above. */}}
{{- define "gateway.pdb" -}}
{{- $root := index . 0 -}}
{{- $pdb := (index . 1).podDisruptionBudget -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "gateway.named" (list $root (index . 2)) }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "gateway.labels" (list $root (index . 3)) | nindent 4 }}
spec:
  {{- range $name := list "minAvailable" "maxUnavailable" }}
  {{- $value := index $pdb $name }}
  {{- if $value }}
  {{ $name }}: {{ ternary (int64 (toString $value)) $value (regexMatch "^[0-9]+$" (toString $value)) }}
  {{- end }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "gateway.selectorLabels" (list $root (index . 3)) | nindent 6 }}
{{- end -}}
