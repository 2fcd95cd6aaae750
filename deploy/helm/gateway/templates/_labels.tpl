{{/* Labels and annotations. Maps given by users are merged from general to specific; selector labels always win. */}}

{{- define "gateway.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "gateway.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Takes (list $ component map…); component may be "". */}}
{{- define "gateway.labels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $labels := dict -}}
{{- range prepend (slice . 2) $root.Values.commonLabels -}}
{{- range $name, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $labels $name (toString $value) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63) -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/name" (include "gateway.name" $root) -}}
{{- $_ := set $labels "app.kubernetes.io/instance" $root.Release.Name -}}
{{- if $component -}}{{- $_ := set $labels "app.kubernetes.io/component" $component -}}{{- end -}}
{{- toYaml $labels -}}
{{- end -}}

{{/* "annotations:" with its entries, or nothing. Takes (list $ map…). */}}
{{- define "gateway.annotations" -}}
{{- $root := index . 0 -}}
{{- $annotations := dict -}}
{{- range prepend (slice . 1) $root.Values.commonAnnotations -}}
{{- range $name, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $annotations $name (toString $value) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if $annotations -}}
annotations:
  {{- toYaml $annotations | nindent 2 -}}
{{- end -}}
{{- end -}}
