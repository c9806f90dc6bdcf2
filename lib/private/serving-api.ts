import { CfnResource, Duration, type RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  AccessLogFormat,
  ApiKeySourceType,
  Model as ApiModel,
  CfnModel,
  EndpointType,
  IdentitySource,
  LambdaIntegration,
  LogGroupLogDestination,
  MethodLoggingLevel,
  RequestAuthorizer,
  RequestValidator,
  ResponseTransferMode,
  RestApi,
} from 'aws-cdk-lib/aws-apigateway';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { ACCESS_LOG_FORMAT } from './access-log';
import { acknowledgeManagedPolicy } from './acknowledge';
import { ALLOWED_HEADERS } from './cors';
import { addGatewayResponses } from './gateway-responses';
import { chatCompletionRequestSchema } from './handler-assets';
import type { CorsConfig } from './serving-config';

export interface ServingApiProps {
  readonly apiName: string;
  readonly stageName: string;
  readonly target: IFunction;
  readonly integrationTimeout: Duration;
  readonly authorizer: IFunction;
  readonly authorizerCacheTtl: Duration;
  readonly requestsPerSecond: number;
  readonly burst: number;
  readonly cors?: CorsConfig;
  readonly logRetention: RetentionDays;
  readonly logRemovalPolicy: RemovalPolicy;
  readonly encryptionKey?: IKey;
  readonly tracing: boolean;
  readonly cloudWatchRole: boolean;
  readonly webAcl: boolean;
}

/** A route for clients with a key. */
export interface KeyedRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `/v1/jobs/{id}` */
  readonly path: string;
}

export interface ServingApi {
  readonly api: RestApi;
  readonly accessLogGroup: LogGroup;
  /** Routes to another function, with the same keys and plans. */
  addRoutes(target: IFunction, routes: readonly KeyedRoute[]): void;
}

/** `GET /health` needs no key: enough for health checks, too little to keep functions busy. */
const HEALTH_THROTTLE = { throttlingRateLimit: 10, throttlingBurstLimit: 20 };

/** Errors only, and no data trace: that would log prompts and answers. */
const EXECUTION_LOG = { loggingLevel: MethodLoggingLevel.ERROR, dataTraceEnabled: false };

/** The routes, each to the same function, and what API Gateway does by itself: keys, validation, logs, errors. */
export function createServingApi(scope: Construct, props: ServingApiProps): ServingApi {
  const logs = {
    retention: props.logRetention,
    removalPolicy: props.logRemovalPolicy,
    encryptionKey: props.encryptionKey,
  };
  const accessLogGroup = new LogGroup(scope, 'AccessLogs', logs);
  const api = new RestApi(scope, 'Api', {
    restApiName: props.apiName,
    description: 'OpenAI-compatible API',
    // An edge-optimized API, the CDK's default, would cut a stream that is silent for 30 seconds.
    endpointTypes: [EndpointType.REGIONAL],
    apiKeySourceType: ApiKeySourceType.AUTHORIZER,
    cloudWatchRole: props.cloudWatchRole,
    deployOptions: {
      stageName: props.stageName,
      tracingEnabled: props.tracing,
      throttlingRateLimit: props.requestsPerSecond,
      throttlingBurstLimit: props.burst,
      accessLogDestination: new LogGroupLogDestination(accessLogGroup),
      accessLogFormat: AccessLogFormat.custom(ACCESS_LOG_FORMAT),
      ...EXECUTION_LOG,
      // Settings of a method stand instead of the stage's, all of them.
      methodOptions: { '/health/GET': { ...HEALTH_THROTTLE, ...EXECUTION_LOG } },
    },
    ...(props.cors && {
      defaultCorsPreflightOptions: {
        allowOrigins: [...props.cors.allowOrigins],
        allowMethods: ['GET', 'POST', 'DELETE', 'OPTIONS'],
        allowHeaders: ALLOWED_HEADERS,
        exposeHeaders: [...props.cors.exposeHeaders],
        // Chromium's maximum is 2 hours.
        maxAge: Duration.hours(2),
      },
    }),
  });
  // The CDK's own output of the URL: outputs are the stack's business.
  api.node.tryRemoveChild('Endpoint');
  // API Gateway would make it at the first error, to be kept forever.
  const executionLogs = new LogGroup(scope, 'ExecutionLogs', {
    ...logs,
    logGroupName: `API-Gateway-Execution-Logs_${api.restApiId}/${props.stageName}`,
  });
  api.deploymentStage.node.addDependency(executionLogs);

  const addRoutes = createRoutes(scope, api, props);
  const [origin, ...others] = props.cors?.allowOrigins ?? [];
  addGatewayResponses(api, {
    // Constant, so that with several origins only `*` fits. API Gateway's own errors hold nothing private.
    allowOrigin: others.length > 0 ? '*' : origin,
    exposeHeaders: props.cors?.exposeHeaders ?? [],
  });
  acknowledge(api, props);
  return { api, accessLogGroup, addRoutes };
}

function createRoutes(scope: Construct, api: RestApi, props: ServingApiProps): ServingApi['addRoutes'] {
  const integration = streamedTo(props.target, props.integrationTimeout);
  const cached = props.authorizerCacheTtl.toMilliseconds() > 0;
  const authorizer = new RequestAuthorizer(scope, 'KeyAuthorizer', {
    handler: props.authorizer,
    identitySources: cached ? [IdentitySource.header('Authorization')] : [],
    resultsCacheTtl: props.authorizerCacheTtl,
  });
  // The CDK writes an empty list as '', where CloudFormation's documentation has nothing.
  const resource = authorizer.node.defaultChild;
  if (!cached && CfnResource.isCfnResource(resource)) resource.addPropertyDeletionOverride('IdentitySource');
  // A deployment is a snapshot, whose id the CDK makes of the methods, integrations included; of the authorizer with a
  // feature flag only, so that a change would reach no stage.
  api.latestDeployment?.addToLogicalId({ authorizerCacheSeconds: props.authorizerCacheTtl.toSeconds() });
  const withKey = { apiKeyRequired: true, authorizer };
  const validator = new RequestValidator(scope, 'Validator', {
    restApi: api,
    validateRequestBody: true,
    validateRequestParameters: true,
  });

  const v1 = api.root.addResource('v1');
  const completions = v1.addResource('chat').addResource('completions');
  completions.addMethod('POST', integration, {
    ...withKey,
    requestValidator: validator,
    requestModels: { 'application/json': chatCompletionModel(scope, api) },
  });
  const models = v1.addResource('models');
  models.addMethod('GET', integration, { ...withKey, requestValidator: validator });
  // Greedy: names of models may hold slashes.
  models.addResource('{model+}').addMethod('GET', integration, { ...withKey, requestValidator: validator });
  v1.addResource('usage').addMethod('GET', integration, { ...withKey, requestValidator: validator });
  const health = api.root.addResource('health').addMethod('GET', integration, { requestValidator: validator });
  for (const id of ['AwsSolutions-APIG4', 'AwsSolutions-COG4']) {
    Validations.of(health).acknowledge({ id, reason: 'Health checks have no key; the route is throttled by itself.' });
  }
  return (target, routes) => {
    const other = streamedTo(target, props.integrationTimeout);
    for (const { method, path } of routes) {
      api.root.resourceForPath(path).addMethod(method, other, { ...withKey, requestValidator: validator });
    }
  };
}

const streamedTo = (target: IFunction, timeout: Duration): LambdaIntegration =>
  new LambdaIntegration(target, {
    responseTransferMode: ResponseTransferMode.STREAM,
    timeout,
    scopePermissionToMethod: false,
  });

/** By the L1: the L2 renames keys of the schema, `schema` among them, which is also a parameter's name here. */
function chatCompletionModel(scope: Construct, api: RestApi) {
  const schema = chatCompletionRequestSchema();
  const model = new CfnModel(scope, 'ChatCompletionRequest', {
    restApiId: api.restApiId,
    contentType: 'application/json',
    description: 'Body of POST /v1/chat/completions',
    schema,
  });
  // A deployment is a snapshot: without these, a changed schema would not be deployed.
  api.latestDeployment?.node.addDependency(model);
  api.latestDeployment?.addToLogicalId({ chatCompletionRequest: schema });
  return ApiModel.fromModelName(scope, 'ChatCompletionRequestName', model.ref);
}

function acknowledge(api: RestApi, props: ServingApiProps): void {
  if (props.cloudWatchRole) {
    acknowledgeManagedPolicy(
      api,
      'service-role/AmazonAPIGatewayPushToCloudWatchLogs',
      "API Gateway's own policy for its account-wide logging role, which serves every API of the region.",
    );
  }
  Validations.of(api).acknowledge({
    id: 'AwsSolutions-COG4',
    reason: 'Clients are the OpenAI SDKs, which send an API key; a Lambda authorizer hands it to the usage plans.',
  });
  if (!props.webAcl) {
    Validations.of(api).acknowledge({
      id: 'AwsSolutions-APIG3',
      reason: 'A web ACL costs money when idle; webAclArn attaches one. Every route that costs anything needs a key.',
    });
  }
}
