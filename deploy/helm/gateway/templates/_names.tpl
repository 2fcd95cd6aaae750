{{- define "gateway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Full name with a suffix, cut so that the suffix stays. Takes (list $ "suffix"). */}}
{{- define "gateway.named" -}}
{{- $suffix := index . 1 -}}
{{- printf "%s-%s" (include "gateway.fullname" (index . 0) | trunc (int (sub 62 (len $suffix))) | trimSuffix "-") $suffix -}}
{{- end -}}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Service under which routers find the controller. */}}
{{- define "gateway.controllerHost" -}}
{{- if .Values.gateway.allInOne.enabled -}}
127.0.0.1
{{- else -}}
{{- default (include "gateway.named" (list . "controller")) .Values.gateway.gatewayRuntime.deployment.env.gatewayControllerHost -}}
{{- end -}}
{{- end -}}

{{/* "sqlite" or "postgres": where the controllers keep what they know. */}}
{{- define "gateway.storageType" -}}
{{- dig "controller" "storage" "type" "sqlite" (.Values.gateway.config | default dict) -}}
{{- end -}}

{{/* Not empty when the controller keeps its database on a volume of its own. */}}
{{- define "gateway.hasVolume" -}}
{{- if and (eq (include "gateway.storageType" .) "sqlite") .Values.gateway.controller.persistence.enabled -}}yes{{- end -}}
{{- end -}}

{{/* Whom the listener's certificate comes from: "cert-manager", "secret", or empty: the controller makes its own.

The chart's self-signed issuer needs cert-manager. Where that is not installed, the controller makes a self-signed
certificate instead, which is as good; an issuer that the user names is always asked. */}}
{{- define "gateway.certificateProvider" -}}
{{- $tls := .Values.gateway.controller.tls -}}
{{- if $tls.enabled -}}
{{- if eq $tls.certificateProvider "secret" -}}secret
{{- else if eq $tls.certificateProvider "cert-manager" -}}
{{- if or (not $tls.certManager.create) (not $tls.certManager.createIssuer) (.Capabilities.APIVersions.Has "cert-manager.io/v1") -}}cert-manager{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty when configuration for routers travels over mutual TLS; inside one Pod it does not. */}}
{{- define "gateway.xdsTls" -}}
{{- if and .Values.gateway.xdsTls.enabled (not .Values.gateway.allInOne.enabled) -}}yes{{- end -}}
{{- end -}}

{{/* The Secret of one side. Takes (list $ "controller") or (list $ "router"). */}}
{{- define "gateway.xdsSecret" -}}
{{- $side := index . 1 -}}
{{- index (index . 0).Values.gateway.xdsTls (printf "%sSecretName" $side) | default (include "gateway.named" (list (index . 0) (printf "xds-%s" $side))) -}}
{{- end -}}

{{- define "gateway.certificateSecret" -}}
{{- if eq (include "gateway.certificateProvider" .) "secret" -}}
{{- .Values.gateway.controller.tls.secret.name -}}
{{- else -}}
{{- include "gateway.named" (list . "controller-tls") -}}
{{- end -}}
{{- end -}}
