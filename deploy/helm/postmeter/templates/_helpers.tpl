{{- define "postmeter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of most objects: the release, with the chart's name unless the release contains it. */}}
{{- define "postmeter.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- /* 52 characters: a StatefulSet's pods get the label controller-revision-hash, its name with 11 more. */}}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "postmeter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postmeter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "postmeter.labels" -}}
{{- include "postmeter.labelsWith" (dict "root" .) }}
{{- end }}

{{/*
The labels of an object. Takes a dict of root, extra (labels of this object from the values) and fixed (labels that selectors need). A key is
written once: what selectors need overrides `extra`, which overrides commonLabels.
*/}}
{{- define "postmeter.labelsWith" -}}
{{- $root := .root }}
{{- $own := include "postmeter.selectorLabels" $root | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ := set $own "app.kubernetes.io/version" ($root.Values.image.tag | default $root.Chart.AppVersion | trunc 63) }}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- $extra := deepCopy (.extra | default dict) }}
{{- toYaml (merge (deepCopy (.fixed | default dict)) $own $extra $root.Values.commonLabels) }}
{{- end }}

{{- define "postmeter.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "postmeter.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "postmeter.fullname" .) "default") }}
{{- end }}

{{- define "postmeter.isSharded" -}}
{{- if gt (int .Values.sharding.shards) 1 }}true{{ end }}
{{- end }}

{{- define "postmeter.isStatefulSet" -}}
{{- if or (include "postmeter.isSharded" .) .Values.persistence.enabled }}true{{ end }}
{{- end }}

{{/* The Service that scrapers use: a headless one for shards, so that each pod is found. */}}
{{- define "postmeter.serviceName" -}}
{{- include "postmeter.fullname" . }}{{ if include "postmeter.isSharded" . }}-headless{{ end }}
{{- end }}

{{/*
Fails if a secret is written into the configuration, which becomes a ConfigMap. Takes a dict of value, path, and inHeaders. Names of headers with
credentials cannot be listed (api-key, x-honeycomb-team, X-Postmark-Server-Token), so only headers that are known to have none may have a plain
value. A default after a variable's name is plain text, too.
*/}}
{{- define "postmeter.refuseSecrets" -}}
{{- $path := .path }}
{{- $inHeaders := .inHeaders }}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- $at := printf "%s.%s" $path $key }}
{{- $isPublicHeader := regexMatch "(?i)^(accept|accept-language|cache-control|content-type|host|on-behalf-of|user-agent|(.*-)?(scope-orgid|dataset|tenant|organization|project|stream-name))$" $key }}
{{- $isSecret := $inHeaders | ternary (not $isPublicHeader) (has $key (list "password" "token" "signing_key" "key")) }}
{{- $isReference := regexMatch "\\$\\{(file:[^}]+|env:[^}:]+(:-)?)\\}" (toString $value) }}
{{- if and $isSecret (not (kindIs "map" $value)) (not (kindIs "invalid" $value)) (not $isReference) }}
{{- $file := $inHeaders | ternary "" (printf "%s_file or " $key) }}
{{- fail (printf "%s contains a secret, and the configuration becomes a ConfigMap: use %s${file:PATH} with secrets.existing, or ${env:NAME} with env" $at $file) }}
{{- end }}
{{- if and (kindIs "string" $value) (regexMatch "://[^/?#@$:]*:[^/?#@$]+@" (toString $value)) }}
{{- fail (printf "%s contains a password in its URL, and the configuration becomes a ConfigMap: use ${file:PATH} with secrets.existing, or ${env:NAME} with env" $at) }}
{{- end }}
{{- if and (kindIs "string" $value) (regexMatch "(?i)://[^#]*[?&](([a-z0-9]+[-_])*(token|secret|password|signature|(api|access|private)[-_]?key)|key|auth|sig)=([^$&#]|\\$\\{env:[^}:]+:-[^}])" (toString $value)) }}
{{- fail (printf "%s contains a secret in its query, and the configuration becomes a ConfigMap: use ${file:PATH} with secrets.existing, or ${env:NAME} with env" $at) }}
{{- end }}
{{- include "postmeter.refuseSecrets" (dict "value" $value "path" $at "inHeaders" (eq $key "headers")) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $index, $value := .value }}
{{- include "postmeter.refuseSecrets" (dict "value" $value "path" (printf "%s[%d]" $path $index) "inHeaders" false) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The complete configuration: .Values.config, with the keys that the chart sets. */}}
{{- define "postmeter.config" -}}
{{- $config := deepCopy (.Values.config | default dict) }}
{{- include "postmeter.refuseSecrets" (dict "value" $config "path" "config" "inHeaders" false) }}
{{- if not $config.targets }}
{{- $_ := unset $config "targets" }}
{{- if not (or $config.targets_files $config.targets_http) }}
{{- fail "config.targets is empty: list the mail servers to poll there, or name lists with config.targets_files or config.targets_http" }}
{{- end }}
{{- end }}
{{- $export := $config.export | default dict }}
{{- $pull := hasKey $export "prometheus" | ternary $export.prometheus dict }}
{{- if or (kindIs "map" $pull) (eq (toString $pull) "true") }}
{{- $_ := set $export "prometheus" (merge (kindIs "map" $pull | ternary $pull dict) (dict "listen" "0.0.0.0:9464")) }}
{{- end }}
{{- $_ := set $config "export" $export }}
{{- /* Probes cannot tell from a response 401 whether Postmeter is ready, so they use the health endpoint, which the pod alone reaches then. */}}
{{- if and (not (kindIs "map" $export.prometheus)) (not $config.health) }}
{{- $_ := set $config "health" (dict "listen" "0.0.0.0:13133") }}
{{- else if and (kindIs "map" $export.prometheus) (not $config.health) (include "postmeter.isClosed" $export.prometheus) }}
{{- $_ := set $config "health" (dict "listen" "127.0.0.1:13133") }}
{{- end }}
{{- if not $config.state_dir }}
{{- $_ := set $config "state_dir" "/var/lib/postmeter" }}
{{- end }}
{{- if include "postmeter.isSharded" . }}
{{- if $config.shard }}
{{- fail "config.shard and sharding.shards are both set: remove config.shard, which the chart sets for each pod" }}
{{- end }}
{{- $_ := set $config "shard" (printf "${env:POD_INDEX}/%d" (int .Values.sharding.shards)) }}
{{- end }}
{{- $otlp := $export.otlp }}
{{- $spool := "" }}
{{- if kindIs "map" $otlp }}
{{- $spool = dig "spool" "dir" "" $otlp }}
{{- end }}
{{- if and $spool (not (hasPrefix (printf "%s/" (trimSuffix "/" $config.state_dir)) $spool)) (not .Values.extraVolumeMounts) }}
{{- fail (printf "config.export.otlp.spool.dir %s is not writable: use a directory below %s, or mount a volume with extraVolumes" $spool $config.state_dir) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* "true" if the pull endpoint does not let everyone read /-/healthy and /-/ready at any time. Takes config.export.prometheus. */}}
{{- define "postmeter.isClosed" -}}
{{- $auth := .auth | default dict }}
{{- $requires := or $auth.tokens $auth.basic $auth.trusted .web_config_file }}
{{- $isOpen := or (empty $requires) (and (has "/-/healthy" ($auth.open | default list)) (has "/-/ready" ($auth.open | default list))) }}
{{- $needsCertificate := hasPrefix "Require" (toString (.tls | default dict).client_auth_type) }}
{{- if or (not $isOpen) $needsCertificate .rate_limit }}true{{ end }}
{{- end }}

{{/*
The pull endpoint, as JSON: port (0 if there is none), scheme, isLocal (only the pod reaches it), and probe: httpGet if kubelet can read the endpoint, otherwise exec, with the URL
that the container requests itself.
*/}}
{{- define "postmeter.pull" -}}
{{- $config := include "postmeter.config" . | fromYaml }}
{{- $pull := $config.export.prometheus }}
{{- if not (kindIs "map" $pull) }}
{{- dict "port" 0 | toJson }}
{{- else }}
{{- $listen := toString $pull.listen }}
{{- $port := regexFind "[0-9]+$" $listen }}
{{- if not $port }}
{{- fail (printf "config.export.prometheus.listen %s does not end with a port number, which the chart needs for probes and the Service" $listen) }}
{{- end }}
{{- $host := trimSuffix (printf ":%s" $port) $listen }}
{{- $isLocal := or (eq $host "localhost") (hasPrefix "127." $host) (eq $host "[::1]") }}
{{- $isClosed := include "postmeter.isClosed" $pull }}
{{- $scheme := .Values.probes.scheme | default (empty $pull.tls | ternary "HTTP" "HTTPS") }}
{{- $type := .Values.probes.type | default (empty (or $isLocal $isClosed) | ternary "httpGet" "exec") }}
{{- $url := printf "%s://localhost:%s" (lower $scheme) $port }}
{{- if $isClosed }}
{{- $health := toString $config.health.listen }}
{{- $healthPort := regexFind "[0-9]+$" $health }}
{{- $healthHost := trimSuffix (printf ":%s" $healthPort) $health }}
{{- $url = printf "http://%s:%s" (has $healthHost (list "" "0.0.0.0" "[::]") | ternary "localhost" $healthHost) $healthPort }}
{{- end }}
{{- dict "port" (int $port) "scheme" $scheme "probe" $type "url" $url "isLocal" $isLocal | toJson }}
{{- end }}
{{- end }}

{{/* The port of the health endpoint, which probes use if there is no pull endpoint; 0 if kubelet cannot reach it. */}}
{{- define "postmeter.healthPort" -}}
{{- $health := (include "postmeter.config" . | fromYaml).health | default dict }}
{{- $listen := toString ($health.listen | default "") }}
{{- $isLocal := or (hasPrefix "localhost:" $listen) (hasPrefix "127." $listen) (hasPrefix "[::1]:" $listen) }}
{{- $isLocal | ternary "0" (regexFind "[0-9]+$" $listen | default "0") }}
{{- end }}

{{/* The port on which delivery records are received; 0 if there is none. */}}
{{- define "postmeter.receivePort" -}}
{{- $receive := (include "postmeter.config" . | fromYaml).receive | default dict }}
{{- $listen := toString ($receive.listen | default "") }}
{{- if or (hasPrefix "localhost:" $listen) (hasPrefix "127." $listen) (hasPrefix "[::1]:" $listen) }}
{{- fail (printf "config.receive.listen %s is a loopback address, which no mail system reaches: use 0.0.0.0 and the port" $listen) }}
{{- end }}
{{- if and $listen (not (regexMatch ":[0-9]+$" $listen)) }}
{{- fail (printf "config.receive.listen %s does not end with a port number, which the chart needs for the Service" $listen) }}
{{- end }}
{{- regexFind "[0-9]+$" $listen | default "0" }}
{{- end }}

{{/* The Service of the receiver of delivery records. Takes a dict of root and shard, the index of a shard or an empty text. */}}
{{- define "postmeter.receiveServiceName" -}}
{{- include "postmeter.fullname" .root | trunc 50 | trimSuffix "-" }}-receive{{ with .shard }}-{{ . }}{{ end }}
{{- end }}

{{/* A probe. Takes a dict of pull, settings and path. */}}
{{- define "postmeter.probe" -}}
{{- if eq .pull.probe "exec" -}}
exec:
  command: [/postmeter, healthcheck, --url, "{{ .pull.url }}{{ .path }}"]
{{- else -}}
httpGet: {path: {{ .path }}, port: metrics, scheme: {{ .pull.scheme }}}
{{- end }}
{{ toYaml (omit .settings "enabled") }}
{{- end }}

{{/* The pod template of the Deployment and of the StatefulSet. */}}
{{- define "postmeter.podTemplate" -}}
{{- $config := include "postmeter.config" . }}
{{- $stateDir := ($config | fromYaml).state_dir }}
{{- $pull := include "postmeter.pull" . | fromJson }}
metadata:
  annotations:
    # The checksum replaces the pods when the configuration changes.
    {{- toYaml (merge (dict "checksum/config" ($config | sha256sum)) .Values.podAnnotations) | nindent 4 }}
  labels:
    {{- include "postmeter.labelsWith" (dict "root" . "extra" .Values.podLabels) | nindent 4 }}
spec:
  serviceAccountName: {{ include "postmeter.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: postmeter
      image: {{ include "postmeter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --config
        - /etc/postmeter/config/postmeter.yaml
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .Values.env (include "postmeter.isSharded" .) }}
      env:
        {{- if include "postmeter.isSharded" . }}
        - name: POD_INDEX
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- $receivePort := include "postmeter.receivePort" . }}
      {{- $healthPort := empty $pull.port | ternary (include "postmeter.healthPort" .) "0" }}
      {{- if or $pull.port (ne $healthPort "0") (ne $receivePort "0") }}
      ports:
        {{- if $pull.port }}
        - {name: metrics, containerPort: {{ int $pull.port }}, protocol: TCP}
        {{- else if ne $healthPort "0" }}
        - {name: health, containerPort: {{ $healthPort }}, protocol: TCP}
        {{- end }}
        {{- if ne $receivePort "0" }}
        - {name: deliveries, containerPort: {{ $receivePort }}, protocol: TCP}
        {{- end }}
      {{- end }}
      {{- if $pull.port }}
      {{- if .Values.probes.liveness.enabled }}
      livenessProbe:
        {{- include "postmeter.probe" (dict "pull" $pull "settings" .Values.probes.liveness "path" "/-/healthy") | nindent 8 }}
      {{- end }}
      {{- if .Values.probes.readiness.enabled }}
      readinessProbe:
        {{- include "postmeter.probe" (dict "pull" $pull "settings" .Values.probes.readiness "path" "/-/ready") | nindent 8 }}
      {{- end }}
      {{- else if ne $healthPort "0" }}
      {{- if .Values.probes.liveness.enabled }}
      livenessProbe:
        httpGet: {path: /-/healthy, port: health}
        {{- toYaml (omit .Values.probes.liveness "enabled") | nindent 8 }}
      {{- end }}
      {{- if .Values.probes.readiness.enabled }}
      readinessProbe:
        httpGet: {path: /-/ready, port: health}
        {{- toYaml (omit .Values.probes.readiness "enabled") | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: config, mountPath: /etc/postmeter/config, readOnly: true}
        - {name: state, mountPath: {{ $stateDir | quote }}}
        {{- if or .Values.secrets.existing .Values.secrets.create }}
        - {name: secrets, mountPath: {{ .Values.secrets.mountPath | quote }}, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "postmeter.fullname" . }}}
    {{- if not .Values.persistence.enabled }}
    - name: state
      emptyDir: { {{- with .Values.persistence.emptyDirSizeLimit }}sizeLimit: {{ . | quote }}{{ end -}} }
    {{- end }}
    {{- if or .Values.secrets.existing .Values.secrets.create }}
    - name: secrets
      projected:
        # Readable by the group of the pod (fsGroup).
        defaultMode: 0440
        sources:
          {{- range .Values.secrets.existing }}
          - secret: {name: {{ . | quote }}}
          {{- end }}
          {{- if .Values.secrets.create }}
          - secret: {name: {{ include "postmeter.fullname" . }}}
          {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (include "postmeter.selectorLabels" $ | fromYaml)))) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
{{- end }}

{{/* "true" if the configuration uses something that state_dir keeps: the delivery log, received delivery records, or a spool. */}}
{{- define "postmeter.needsState" -}}
{{- $config := include "postmeter.config" . | fromYaml }}
{{- $otlp := $config.export.otlp }}
{{- $needs := or $config.receive (and (kindIs "map" $otlp) (hasKey ($otlp | default dict) "spool")) }}
{{- range $config.targets }}
{{- if and (kindIs "map" .parts) (or (hasKey (.parts | default dict) "messages") (hasKey (.parts | default dict) "deliveries")) }}
{{- $needs = true }}
{{- end }}
{{- end }}
{{- if $needs }}true{{ end }}
{{- end }}
