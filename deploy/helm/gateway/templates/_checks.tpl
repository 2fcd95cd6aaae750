{{/* Mistakes that a schema cannot explain, all at once. Rendering stops when there is one. */}}

{{- define "gateway.checks" -}}
{{- $problems := list -}}
{{- range list "gateway.checks.places" "gateway.checks.controlPlane" "gateway.checks.storage" "gateway.checks.scale" "gateway.checks.keys" "gateway.checks.trafficLog" "gateway.checks.images" -}}
{{- $problems = concat $problems (include . $ | fromYamlArray) -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nThe values cannot be used:\n  * %s\n" (join "\n  * " $problems)) -}}
{{- end -}}
{{- end -}}

{{/* Keys in the wrong place would be ignored in silence. */}}
{{- define "gateway.checks.places" -}}
{{- $found := list -}}
{{- range $name := list "config" "controller" "gatewayRuntime" "controlPlane" "controlplane" -}}
{{- if hasKey $.Values $name -}}
{{- $found = append $found (printf "%s: belongs below gateway, as gateway.%s" $name (ternary "controller.controlPlane" $name (eq (lower $name) "controlplane"))) -}}
{{- end -}}
{{- end -}}
{{- range $wrong, $right := dict "controlPlane" "controller.controlPlane" "controlplane" "controller.controlPlane" "gateway_runtime" "gatewayRuntime" "gatewayruntime" "gatewayRuntime" "runtime" "gatewayRuntime" "router" "config.router or gatewayRuntime" -}}
{{- if hasKey $.Values.gateway $wrong -}}
{{- $found = append $found (printf "gateway.%s: not known; meant is gateway.%s" $wrong $right) -}}
{{- end -}}
{{- end -}}
{{- range $wrong, $right := dict "controlplane" "controlPlane" "control_plane" "controlPlane" "extraEnvFrom" "deployment.extraEnvFrom" "extraEnv" "deployment.extraEnv" "replicaCount" "deployment.replicaCount" -}}
{{- if hasKey $.Values.gateway.controller $wrong -}}
{{- $found = append $found (printf "gateway.controller.%s: not known; meant is gateway.controller.%s" $wrong $right) -}}
{{- end -}}
{{- end -}}
{{- $config := dig "controller" dict ($.Values.gateway.config | default dict) -}}
{{- range $wrong := list "controlPlane" "control_plane" -}}
{{- if hasKey $config $wrong -}}
{{- $found = append $found (printf "gateway.config.controller.%s: not known; meant is gateway.config.controller.controlplane" $wrong) -}}
{{- end -}}
{{- end -}}
{{- if dig "controlplane" "host" "" $config -}}
{{- $found = append $found "gateway.config.controller.controlplane.host: the host is taken from gateway.controller.controlPlane.host; set it there" -}}
{{- end -}}
{{- if dig "controlplane" "token" "" $config -}}
{{- $found = append $found "gateway.config.controller.controlplane.token: would be readable in a ConfigMap; put it into a Secret and name that in gateway.controller.controlPlane.token.secretName" -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "gateway.checks.controlPlane" -}}
{{- $found := list -}}
{{- $plane := .Values.gateway.controller.controlPlane -}}
{{- $host := include "gateway.controlPlane.host" . -}}
{{- if contains "://" $host -}}
{{- $found = append $found (printf "gateway.controller.controlPlane.host: %q has a scheme; write only host or host:port, such as apim.example.com:9443" $host) -}}
{{- else if regexMatch "[/\\s?#@]" $host -}}
{{- $found = append $found (printf "gateway.controller.controlPlane.host: %q is not host or host:port, such as apim.example.com:9443" $host) -}}
{{- end -}}
{{- if and (not $host) (or $plane.token.secretName $plane.token.value) -}}
{{- $found = append $found "gateway.controller.controlPlane.token: is set without gateway.controller.controlPlane.host; the gateway would not know where to connect" -}}
{{- end -}}
{{- if and $plane.ca.secretName $plane.ca.configMapName -}}
{{- $found = append $found "gateway.controller.controlPlane.ca: give secretName or configMapName, not both" -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "gateway.checks.storage" -}}
{{- $found := list -}}
{{- $storage := dig "controller" "storage" dict (.Values.gateway.config | default dict) -}}
{{- $type := include "gateway.storageType" . -}}
{{- if hasKey $storage "sqlserver" -}}
{{- $found = append $found "gateway.config.controller.storage.sqlserver: not a key since 1.2 of the original, and SQL Server is not supported here; use storage.type postgres" -}}
{{- end -}}
{{- if eq $type "sqlserver" -}}
{{- $found = append $found "gateway.config.controller.storage.type: sqlserver is not supported; use sqlite or postgres" -}}
{{- else if not (has $type (list "sqlite" "postgres")) -}}
{{- $found = append $found (printf "gateway.config.controller.storage.type: %q is not known; use sqlite or postgres" $type) -}}
{{- end -}}
{{- if eq $type "postgres" -}}
{{- $postgres := merge (dict) (dig "postgres" dict $storage) (dig "database" dict $storage) -}}
{{- if not $postgres.dsn -}}
{{- range $name := list "host" "database" "user" -}}
{{- if not (index $postgres $name) -}}
{{- $found = append $found (printf "gateway.config.controller.storage.postgres.%s: is required when storage.type is postgres and storage.postgres.dsn is empty" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "gateway.checks.scale" -}}
{{- $found := list -}}
{{- $controller := .Values.gateway.controller -}}
{{- $runtime := .Values.gateway.gatewayRuntime -}}
{{- if eq (include "gateway.storageType" .) "sqlite" -}}
{{- if $controller.hpa.enabled -}}
{{- $found = append $found "gateway.controller.hpa.enabled: several controllers need a database that they share; set gateway.config.controller.storage.type to postgres" -}}
{{- end -}}
{{- if gt (int $controller.deployment.replicaCount) 1 -}}
{{- $found = append $found (printf "gateway.controller.deployment.replicaCount: %d controllers need a database that they share; set gateway.config.controller.storage.type to postgres" (int $controller.deployment.replicaCount)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $part := dict "controller" $controller "gatewayRuntime" $runtime -}}
{{- $pdb := $part.podDisruptionBudget -}}
{{- if $pdb.enabled -}}
{{- if and $pdb.minAvailable $pdb.maxUnavailable -}}
{{- $found = append $found (printf "gateway.%s.podDisruptionBudget: minAvailable and maxUnavailable are both set; set the one that you do not mean to \"\"" $name) -}}
{{- else if not (or $pdb.minAvailable $pdb.maxUnavailable) -}}
{{- $found = append $found (printf "gateway.%s.podDisruptionBudget: set minAvailable or maxUnavailable" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.gateway.allInOne.enabled -}}
{{- if $runtime.hpa.enabled -}}
{{- $found = append $found "gateway.gatewayRuntime.hpa.enabled: with gateway.allInOne the router is part of the controller's Pod and cannot be scaled alone" -}}
{{- end -}}
{{- if not $controller.deployment.enabled -}}
{{- $found = append $found "gateway.controller.deployment.enabled: gateway.allInOne needs it" -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "gateway.checks.keys" -}}
{{- $found := list -}}
{{- $controller := .Values.gateway.controller -}}
{{- $keys := $controller.encryptionKeys -}}
{{- $create := "kubectl create secret generic gateway-encryption-keys --from-file=default-aesgcm256-v1.bin=<(openssl rand 32)" -}}
{{- if and $keys.enabled (not $keys.secretName) -}}
{{- $found = append $found (printf "gateway.controller.encryptionKeys.secretName: is required when encryptionKeys.enabled is true. Make the Secret, for example with: %s" $create) -}}
{{- end -}}
{{- if and $controller.deployment.enabled (not $keys.enabled) (eq (include "gateway.storageType" .) "postgres") -}}
{{- $found = append $found (printf "gateway.controller.encryptionKeys: controllers that share a database must share its encryption keys too. Make a Secret, for example with: %s; then set encryptionKeys.enabled to true and encryptionKeys.secretName to its name, and keep a copy: without it, what is encrypted is lost" $create) -}}
{{- end -}}
{{- $xds := .Values.gateway.xdsTls -}}
{{- if and (include "gateway.xdsTls" .) (not $xds.certManager) (not (and $xds.controllerSecretName $xds.routerSecretName)) -}}
{{- $found = append $found "gateway.xdsTls: without certManager, controllerSecretName and routerSecretName are required" -}}
{{- end -}}
{{- $tls := $controller.tls -}}
{{- if and $tls.enabled (not (has $tls.certificateProvider (list "cert-manager" "secret" "none"))) -}}
{{- $found = append $found (printf "gateway.controller.tls.certificateProvider: %q is not known; use cert-manager, secret, or none" $tls.certificateProvider) -}}
{{- end -}}
{{- if and $tls.enabled (eq $tls.certificateProvider "secret") (not $tls.secret.name) -}}
{{- $found = append $found "gateway.controller.tls.secret.name: is required when tls.certificateProvider is secret" -}}
{{- end -}}
{{- if and $controller.upstreamCerts.enabled (not (or $controller.upstreamCerts.secretName $controller.upstreamCerts.configMapName)) -}}
{{- $found = append $found "gateway.controller.upstreamCerts: give secretName or configMapName" -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* Credentials of the HTTP sink must come from the environment or a file; the file sink must be on the volume. */}}
{{- define "gateway.checks.trafficLog" -}}
{{- $found := list -}}
{{- $logging := dig "traffic_logging" dict (.Values.gateway.config | default dict) | default dict -}}
{{- $token := "^\\{\\{\\s*(env|file)\\s[^{}]*\\}\\}$" -}}
{{- $auth := dig "http" "auth" dict $logging -}}
{{- if ne (toString (index $auth "allow_plaintext_credentials")) "true" -}}
{{- range $path, $value := dict "bearer.token" (dig "bearer" "token" "" $auth) "basic.password" (dig "basic" "password" "" $auth) -}}
{{- if and $value (not (regexMatch $token (trim $value))) -}}
{{- $found = append $found (printf "gateway.config.traffic_logging.http.auth.%s: would be readable in a ConfigMap; write a token such as {{ env \"TRAFFIC_LOG_TOKEN\" }} and give the variable through deployment.extraEnvFrom" $path) -}}
{{- end -}}
{{- end -}}
{{- $header := dig "header" "value" "" $auth -}}
{{- if and $header (not (regexMatch "^[^{}]*\\{\\{\\s*(env|file)\\s[^{}]*\\}\\}$" $header)) -}}
{{- $found = append $found "gateway.config.traffic_logging.http.auth.header.value: would be readable in a ConfigMap; end it with a token such as {{ env \"TRAFFIC_LOG_TOKEN\" }}" -}}
{{- end -}}
{{- end -}}
{{- $path := dig "file" "path" "" $logging -}}
{{- if and (include "gateway.trafficLogVolume" .) $path -}}
{{- $mount := trimSuffix "/" .Values.gateway.gatewayRuntime.trafficLogVolume.mountPath -}}
{{- if not (hasPrefix (printf "%s/" $mount) (clean $path)) -}}
{{- $found = append $found (printf "gateway.config.traffic_logging.file.path: %q is not below %s, the only place where a router can write it" $path $mount) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "gateway.checks.images" -}}
{{- $found := list -}}
{{- range $name, $part := dict "controller" .Values.gateway.controller "gatewayRuntime" .Values.gateway.gatewayRuntime -}}
{{- if regexMatch "wso2.*/gateway-(controller|runtime)$" $part.image.repository -}}
{{- $found = append $found (printf "gateway.%s.image.repository: %q is an image of the original; name a Gatewright image, or leave image out of the values" $name $part.image.repository) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
