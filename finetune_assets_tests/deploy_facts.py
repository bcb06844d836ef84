"""What Dagster's Helm chart takes, for the test of deploy/kubernetes/values.yaml.

Names only, from the chart's own schema (helm/dagster/schema in dagster-io/dagster), read 2026-11-21. The copy that was
read is of the 1.x line with `dagsterWebserver`; the chart's versions are Dagster's.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_POD = _names(
    """image env envConfigMaps envSecrets labels nodeSelector affinity tolerations podSecurityContext securityContext
    resources livenessProbe readinessProbe startupProbe annotations schedulerName volumeMounts volumes"""
)
TOP = _names(
    """global nameOverride fullnameOverride rbacEnabled imagePullSecrets dagsterWebserver dagster-user-deployments
    postgresql generatePostgresqlPasswordSecret generateCeleryConfigSecret rabbitmq redis flower ingress
    computeLogManager scheduler runLauncher pythonLogs dagsterDaemon busybox migrate telemetry serviceAccount retention
    additionalInstanceConfig extraManifests"""
)
GLOBAL = _names("postgresqlSecretName dagsterHome dagsterInstanceConfigMap serviceAccountName celeryConfigSecretName")
WEBSERVER = _POD | _names(
    """deploymentLabels replicaCount nameOverride pathPrefix service workspace enableReadOnly dbStatementTimeout
    dbPoolRecycle logLevel"""
)
DAEMON = _POD | _names(
    "deploymentLabels enabled runCoordinator heartbeatTolerance runMonitoring runRetries sensors schedules"
)
QUEUE = _names("maxConcurrentRuns tagConcurrencyLimits dequeueIntervalSeconds dequeueNumWorkers dequeueUseThreads")
USER_DEPLOYMENT = _POD | _names("name dagsterApiGrpcArgs codeServerArgs includeConfigInLaunchedRuns port")
K8S_RUN_LAUNCHER = _names(
    """image imagePullPolicy jobNamespace loadInclusterConfig kubeconfigFile envConfigMaps envSecrets envVars
    volumeMounts volumes labels failPodOnRunFailure resources schedulerName securityContext runK8sConfig"""
)
POSTGRESQL = _names(
    """image enabled postgresqlHost postgresqlUsername postgresqlPassword postgresqlDatabase postgresqlParams
    postgresqlScheme service"""
)
