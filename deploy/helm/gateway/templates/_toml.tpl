{{/* Values as TOML. A null is left out, a whole number stays one, and text is quoted as JSON, which TOML reads too. */}}

{{- define "gateway.toml.value" -}}
{{- if kindIs "string" . -}}{{- . | toJson -}}
{{- else if kindIs "bool" . -}}{{- . -}}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{- int64 . -}}{{- else -}}{{- printf "%v" . -}}{{- end -}}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}
{{- if not (kindIs "invalid" .) -}}{{- $items = append $items (include "gateway.toml.value" .) -}}{{- end -}}
{{- end -}}
[{{ join ", " $items }}]
{{- else if kindIs "map" . -}}
{{- $items := list -}}
{{- range $name, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $items = append $items (printf "%s = %s" (include "gateway.toml.key" $name) (include "gateway.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{ {{- join ", " $items -}} }
{{- else -}}{{- . -}}
{{- end -}}
{{- end -}}

{{- define "gateway.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . -}}{{- . -}}{{- else -}}{{- . | toJson -}}{{- end -}}
{{- end -}}

{{/* A whole table with the tables below it. Takes (dict "path" "a.b" "table" map). */}}
{{- define "gateway.toml.table" -}}
{{- $lines := list -}}
{{- $tables := "" -}}
{{- $path := .path -}}
{{- range $name, $value := .table -}}
{{- $key := include "gateway.toml.key" $name -}}
{{- if kindIs "map" $value -}}
{{- $inner := ternary $key (printf "%s.%s" $path $key) (eq $path "") -}}
{{- $tables = print $tables (include "gateway.toml.table" (dict "path" $inner "table" $value)) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $lines = append $lines (printf "%s = %s" $key (include "gateway.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{{- if $lines -}}
{{- if $path -}}
[{{ $path }}]
{{ end -}}
{{ join "\n" $lines }}

{{ end -}}
{{- $tables -}}
{{- end -}}
