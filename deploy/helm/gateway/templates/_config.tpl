{{/* The configuration of the processes, from `gateway.config` and from what the chart knows better. */}}

{{/* All tables, as YAML. */}}
{{- define "gateway.config" -}}
{{- $gateway := .Values.gateway -}}
{{- $config := deepCopy ($gateway.config | default dict) -}}
{{- range $name := list "controller" "router" "policy_engine" "gatewright" -}}
{{- if not (kindIs "map" (index $config $name)) -}}{{- $_ := set $config $name dict -}}{{- end -}}
{{- end -}}
{{- $controller := $config.controller -}}
{{- $_ := set $controller "controlplane" (include "gateway.config.controlplane" . | fromYaml) -}}
{{- $_ := set $controller "metrics" (dict "enabled" (ne (include "gateway.metricsEnabled" .) "") "port" (include "gateway.ports.metrics" . | int64)) -}}
{{- $_ := set $controller "storage" (include "gateway.config.storage" . | fromYaml) -}}
{{- if not (dig "encryption" "providers" "" $controller) -}}
{{- $made := printf "%s/aesgcm-keys" (trimSuffix "/" $gateway.controller.deployment.volumeMountPath) -}}
{{- $folder := ternary (trimSuffix "/" $gateway.controller.encryptionKeys.mountPath) $made $gateway.controller.encryptionKeys.enabled -}}
{{- $file := printf "%s/default-aesgcm256-v1.bin" $folder -}}
{{- $key := dict "version" "aesgcm256-v1" "file" $file -}}
{{- $_ := set $controller "encryption" (dict "providers" (list (dict "type" "aesgcm" "keys" (list $key)))) -}}
{{- end -}}
{{- $own := $config.gatewright -}}
{{- if not (hasKey $own "data_dir") -}}{{- $_ := set $own "data_dir" $gateway.controller.deployment.volumeMountPath -}}{{- end -}}
{{- if and (not (hasKey $own "generate_encryption_keys")) (not $gateway.controller.encryptionKeys.enabled) -}}
{{- $_ := set $own "generate_encryption_keys" true -}}
{{- end -}}
{{- if include "gateway.routerMetricsEnabled" . -}}
{{- $engine := $config.policy_engine -}}
{{- $_ := set $engine "metrics" (set (index $engine "metrics" | default dict) "enabled" true) -}}
{{- end -}}
{{- if $gateway.allInOne.enabled -}}
{{- $bind := index $own "bind" | default dict -}}
{{- $_ := set $own "bind" (set $bind "xds" "127.0.0.1") -}}
{{- end -}}
{{- if include "gateway.controlPlane.caVolume" . -}}
{{- $link := index $own "controlplane" | default dict -}}
{{- $_ := set $own "controlplane" (set $link "ca_file" "/etc/gateway-controller/control-plane-ca/ca.crt") -}}
{{- end -}}
{{- if include "gateway.xdsTls" . -}}
{{- $folder := "/etc/gateway-controller/xds-tls" -}}
{{- $tls := dict "enabled" true "cert_file" (print $folder "/tls.crt") "key_file" (print $folder "/tls.key") -}}
{{- $_ := set $controller "policy_server" (set (index $controller "policy_server" | default dict) "tls" $tls) -}}
{{- $_ := set $own "xds" (set (index $own "xds" | default dict) "client_ca_file" (print $folder "/ca.crt")) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "gateway.config.controlplane" -}}
{{- $given := dig "controller" "controlplane" dict (.Values.gateway.config | default dict) -}}
{{- $link := deepCopy ($given | default dict) -}}
{{- $_ := set $link "host" (include "gateway.controlPlane.host" .) -}}
{{- $_ := set $link "token" "{{ env \"APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN\" \"\" }}" -}}
{{- toYaml $link -}}
{{- end -}}

{{/* The authority as it was written. Charts up to 1.1.3 had a port of its own: it counts when the host has none. */}}
{{- define "gateway.controlPlane.host" -}}
{{- $plane := .Values.gateway.controller.controlPlane -}}
{{- $host := $plane.host | default "" | toString | trim -}}
{{- if and $host $plane.port (not (regexMatch ":[0-9]+$" $host)) -}}
{{- printf "%s:%v" $host (int64 $plane.port) -}}
{{- else -}}
{{- $host -}}
{{- end -}}
{{- end -}}

{{- define "gateway.controlPlane.caVolume" -}}
{{- $ca := .Values.gateway.controller.controlPlane.ca -}}
{{- if or $ca.secretName $ca.configMapName -}}yes{{- end -}}
{{- end -}}

{{/* Passwords come from the environment, whatever the values say. */}}
{{- define "gateway.config.storage" -}}
{{- $storage := deepCopy (dig "controller" "storage" dict (.Values.gateway.config | default dict) | default dict) -}}
{{- if eq (include "gateway.storageType" .) "postgres" -}}
{{- $postgres := index $storage "postgres" | default dict -}}
{{- $_ := set $postgres "password" "{{ env \"APIP_GW_CONTROLLER_STORAGE_POSTGRES_PASSWORD\" \"\" }}" -}}
{{- $_ := set $storage "postgres" $postgres -}}
{{- if hasKey $storage "database" -}}{{- $_ := set $storage "database" (omit $storage.database "password") -}}{{- end -}}
{{- else -}}
{{- $storage = omit $storage "postgres" -}}
{{- $sqlite := index $storage "sqlite" | default dict -}}
{{- if not (hasKey $sqlite "path") -}}
{{- $_ := set $sqlite "path" (printf "%s/gateway.db" (trimSuffix "/" .Values.gateway.controller.deployment.volumeMountPath)) -}}
{{- end -}}
{{- $_ := set $storage "sqlite" $sqlite -}}
{{- end -}}
{{- toYaml $storage -}}
{{- end -}}

{{/* What a router reads: all but the controller's tables, which may hold credentials. */}}
{{- define "gateway.config.router" -}}
{{- $config := include "gateway.config" . | fromYaml -}}
{{- $_ := set $config "controller" (dict "logging" (dig "controller" "logging" dict $config)) -}}
{{- $own := omit $config.gatewright "controlplane" "generate_encryption_keys" "xds" -}}
{{- if include "gateway.xdsTls" . -}}
{{- $folder := "/etc/policy-engine/xds-tls" -}}
{{- $tls := dict "enabled" true "cert_path" (print $folder "/tls.crt") "key_path" (print $folder "/tls.key") "ca_path" (print $folder "/ca.crt") -}}
{{- $_ := set $config.policy_engine "xds" (set (index $config.policy_engine "xds" | default dict) "tls" $tls) -}}
{{- end -}}
{{- $_ := set $own "data_dir" "/app/data" -}}
{{- $port := ternary (include "gateway.ports.xds" .) (toString .Values.gateway.controller.service.ports.xds) .Values.gateway.allInOne.enabled | int64 -}}
{{- $_ := set $own "remote_controller" (merge (dict "xds_port" $port) (index $own "remote_controller" | default dict)) -}}
{{- $_ := set $config "gatewright" $own -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The files that the processes read. */}}
{{- define "gateway.file.controller" -}}
{{- include "gateway.file" (list . (include "gateway.config" . | fromYaml)) -}}
{{- end -}}
{{- define "gateway.file.router" -}}
{{- include "gateway.file" (list . (include "gateway.config.router" . | fromYaml)) -}}
{{- end -}}
{{- define "gateway.file" -}}
{{- include "gateway.toml.table" (dict "path" "" "table" (index . 1)) | trim }}
{{- with (index . 0).Values.gateway.config_toml }}
{{ print "\n" (trimSuffix "\n" .) }}
{{- end }}
{{- end -}}

{{/* Ports that the processes listen on; a Service may show them under other numbers. */}}
{{- define "gateway.ports.rest" -}}
{{- dig "controller" "server" "api_port" 9090 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}
{{- define "gateway.ports.xds" -}}
{{- dig "controller" "server" "xds_port" 18000 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}
{{- define "gateway.ports.admin" -}}
{{- dig "controller" "admin_server" "port" 9092 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}
{{- define "gateway.ports.http" -}}
{{- dig "router" "listener_port" 8080 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}
{{- define "gateway.ports.https" -}}
{{- dig "router" "https_port" 8443 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}
{{- define "gateway.ports.metrics" -}}
{{- .Values.gateway.controller.metrics.port | default 9091 | int64 -}}
{{- end -}}

{{- define "gateway.ports.peAdmin" -}}
{{- dig "policy_engine" "admin" "port" 9002 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}
{{- define "gateway.ports.peMetrics" -}}
{{- dig "policy_engine" "metrics" "port" 9003 (.Values.gateway.config | default dict) | int64 -}}
{{- end -}}

{{- define "gateway.routerMetricsEnabled" -}}
{{- if or .Values.gateway.serviceMonitor.enabled (dig "policy_engine" "metrics" "enabled" false (.Values.gateway.config | default dict)) -}}yes{{- end -}}
{{- end -}}

{{- define "gateway.httpsEnabled" -}}
{{- if dig "router" "https_enabled" true (.Values.gateway.config | default dict) -}}yes{{- end -}}
{{- end -}}

{{- define "gateway.metricsEnabled" -}}
{{- if or .Values.gateway.controller.metrics.enabled .Values.gateway.serviceMonitor.enabled -}}yes{{- end -}}
{{- end -}}

{{/* Not empty when traffic is logged into a file: that needs a writable volume. */}}
{{- define "gateway.trafficLogVolume" -}}
{{- $logging := dig "traffic_logging" dict (.Values.gateway.config | default dict) | default dict -}}
{{- $wanted := index .Values.gateway.gatewayRuntime.trafficLogVolume "enabled" -}}
{{- if kindIs "bool" $wanted -}}
{{- if $wanted -}}yes{{- end -}}
{{- else if and $logging.enabled (has "file" (index $logging "outputs" | default list)) -}}yes{{- end -}}
{{- end -}}
