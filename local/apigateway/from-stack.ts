import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json, type JsonObject } from '../cloudformation/template.ts';
import type {
  ApiKeyDefinition,
  AuthorizerDefinition,
  GatewayResponseDefinition,
  IntegrationDefinition,
  MethodDefinition,
  MethodThrottle,
  ResourceDefinition,
  RestApiDefinition,
  StageDefinition,
  Throttle,
  UsagePlanDefinition,
} from './definition.ts';

/** API Gateway's limits for streams: 5 minutes on regional and private endpoints, 30 seconds on edge ones. */
const IDLE_MS = 300_000;
const EDGE_IDLE_MS = 30_000;

/** Makes a key's value, the same in every run, when the template has none (as API Gateway does). */
export type KeyValues = (keyId: string) => string;

/**
 * The REST API that a stack's resources describe.
 * @throws Error for properties that would make the real API behave in a way that isn't stood in for
 */
export function restApiOf(stack: Stack, keyValues: KeyValues): RestApiDefinition {
  const api = only(stack.ofType('AWS::ApiGateway::RestApi'), `${stack.name}: REST APIs`);
  for (const property of ['Body', 'BodyS3Location', 'CloneFrom']) {
    if (api.property(property) !== undefined) {
      throw new Error(`${api.logicalId}: the local run doesn't know APIs that are defined by ${property}`);
    }
  }
  const mine = (resource: Resource): boolean => resource.property('RestApiId') === api.ref;
  const stage = only(stack.ofType('AWS::ApiGateway::Stage').filter(mine), `${api.logicalId}: stages`);
  const usagePlans = stack.ofType('AWS::ApiGateway::UsagePlan').flatMap((plan) => usagePlanOf(stack, plan, api, stage));
  const apiKeys = stack.ofType('AWS::ApiGateway::ApiKey').map((key) => apiKeyOf(key, keyValues));
  return {
    id: api.ref,
    account: stack.account,
    region: stack.region,
    name: string(api.property('Name'), api.logicalId),
    apiKeySource: api.property('ApiKeySourceType') === 'AUTHORIZER' ? 'AUTHORIZER' : 'HEADER',
    binaryMediaTypes: strings(api.property('BinaryMediaTypes')),
    idleTimeoutMs: isEdge(api) ? EDGE_IDLE_MS : IDLE_MS,
    stage: stageOf(stage),
    resources: resourcesOf(stack, api),
    models: stack
      .ofType('AWS::ApiGateway::Model')
      .filter(mine)
      .map((model) => ({
        name: model.ref,
        schema: model.required('Schema'),
      })),
    gatewayResponses: stack.ofType('AWS::ApiGateway::GatewayResponse').filter(mine).map(gatewayResponseOf),
    usagePlans,
    apiKeys: [...apiKeys, ...importedKeysOf(usagePlans, apiKeys, keyValues)],
  };
}

/** Without an endpoint type an API is edge-optimized. */
function isEdge(api: Resource): boolean {
  const { Types } = object(api.property('EndpointConfiguration'));
  return !isArray(Types) || Types.includes('EDGE');
}

function stageOf(stage: Resource): StageDefinition {
  const settings = stage.property('MethodSettings') ?? [];
  const accessLog = object(stage.property('AccessLogSetting'));
  return {
    name: string(stage.property('StageName'), stage.ref),
    variables: stringMap(stage.property('Variables')),
    accessLogFormat: accessLog.Format === undefined ? undefined : String(accessLog.Format),
    methodThrottles: (isArray(settings) ? settings : []).flatMap((setting): MethodThrottle[] => {
      const { HttpMethod, ResourcePath, ThrottlingRateLimit, ThrottlingBurstLimit } = object(setting);
      if (ThrottlingRateLimit === undefined && ThrottlingBurstLimit === undefined) return [];
      return [
        {
          httpMethod: String(HttpMethod),
          // `/*` is every resource; another path has its slashes as `~1`.
          resourcePath: ResourcePath === '/*' ? '*' : String(ResourcePath).slice(1).replaceAll('~1', '/') || '/',
          throttle: throttleOf(ThrottlingRateLimit, ThrottlingBurstLimit),
        },
      ];
    }),
  };
}

function resourcesOf(stack: Stack, api: Resource): ResourceDefinition[] {
  const resources = stack.ofType('AWS::ApiGateway::Resource');
  const paths = new Map<string, string>();
  const rootId = `r${api.ref.slice(0, 9)}`;
  const pathOf = (id: string): string => {
    if (id === rootId) return '';
    const known = paths.get(id);
    if (known !== undefined) return known;
    const resource = resources.find((candidate) => candidate.ref === id);
    if (resource === undefined) throw new Error(`${api.logicalId}: no resource has the id ${id}`);
    const path = `${pathOf(String(resource.required('ParentId')))}/${String(resource.required('PathPart'))}`;
    paths.set(id, path);
    return path;
  };
  const methods = new Map<string, Map<string, MethodDefinition>>();
  for (const method of stack.ofType('AWS::ApiGateway::Method')) {
    if (method.property('RestApiId') !== api.ref) continue;
    const path = pathOf(String(method.required('ResourceId'))) || '/';
    const definition = methodOf(stack, method);
    const ofPath = methods.get(path) ?? new Map<string, MethodDefinition>();
    methods.set(path, ofPath.set(definition.httpMethod, definition));
  }
  return [...methods].map(([path, ofPath]) => ({ path, methods: ofPath }));
}

function methodOf(stack: Stack, method: Resource): MethodDefinition {
  const authorization = String(method.property('AuthorizationType') ?? 'NONE');
  if (authorization !== 'NONE' && authorization !== 'CUSTOM') {
    throw new Error(`${method.logicalId}: the local run doesn't know the authorization type ${authorization}`);
  }
  const validatorId = method.property('RequestValidatorId');
  const validator = stack
    .ofType('AWS::ApiGateway::RequestValidator')
    .find((candidate) => validatorId !== undefined && candidate.ref === validatorId);
  return {
    httpMethod: String(method.required('HttpMethod')),
    apiKeyRequired: truthy(method.property('ApiKeyRequired')),
    authorizer: authorization === 'CUSTOM' ? authorizerOf(stack, String(method.required('AuthorizerId'))) : undefined,
    integration: integrationOf(method),
    requestModels: stringMap(method.property('RequestModels')),
    requestParameters: Object.fromEntries(
      Object.entries(object(method.property('RequestParameters'))).map(([name, value]) => [name, truthy(value)]),
    ),
    validateBody: truthy(validator?.property('ValidateRequestBody')),
    validateParameters: truthy(validator?.property('ValidateRequestParameters')),
  };
}

function authorizerOf(stack: Stack, id: string): AuthorizerDefinition {
  const authorizer = stack.ofType('AWS::ApiGateway::Authorizer').find((candidate) => candidate.ref === id);
  if (authorizer === undefined) throw new Error(`${stack.name}: no authorizer has the id ${id}`);
  const type = authorizer.required('Type');
  if (type !== 'TOKEN' && type !== 'REQUEST') {
    throw new Error(`${authorizer.logicalId}: the local run doesn't know authorizers of type ${String(type)}`);
  }
  const validation = authorizer.property('IdentityValidationExpression');
  return {
    id,
    type,
    functionArn: functionArnOf(String(authorizer.required('AuthorizerUri')), authorizer),
    identitySources: string(authorizer.property('IdentitySource'), '')
      .split(',')
      .map((source) => source.trim())
      .filter((source) => source !== ''),
    identityValidation: validation === undefined ? undefined : String(validation),
    // Seconds; API Gateway's default.
    cacheSeconds: Number(authorizer.property('AuthorizerResultTtlInSeconds') ?? 300),
  };
}

function integrationOf(method: Resource): IntegrationDefinition {
  const integration = object(method.required('Integration'));
  switch (integration.Type) {
    case 'AWS_PROXY':
      return {
        type: 'AWS_PROXY',
        functionArn: functionArnOf(String(integration.Uri), method),
        responseTransferMode: integration.ResponseTransferMode === 'STREAM' ? 'STREAM' : 'BUFFERED',
        // Milliseconds; API Gateway's default.
        timeoutMs: Number(integration.TimeoutInMillis ?? 29_000),
      };
    case 'MOCK':
      return {
        type: 'MOCK',
        requestTemplates: stringMap(integration.RequestTemplates),
        responses: (isArray(integration.IntegrationResponses) ? integration.IntegrationResponses : []).map((item) => {
          const response = object(item);
          return {
            statusCode: Number(response.StatusCode),
            selectionPattern: response.SelectionPattern === undefined ? undefined : String(response.SelectionPattern),
            parameters: stringMap(response.ResponseParameters),
            templates: stringMap(response.ResponseTemplates),
          };
        }),
      };
    default:
      throw new Error(
        `${method.logicalId}: the local run doesn't know integrations of type ${String(integration.Type)}`,
      );
  }
}

/** `arn:…:lambda:path/2021-11-15/functions/<function arn>/response-streaming-invocations` */
function functionArnOf(uri: string, owner: Resource): string {
  const arn = /:lambda:path\/[^/]+\/functions\/(.+)\/(?:response-streaming-)?invocations$/.exec(uri)?.[1];
  if (arn === undefined) throw new Error(`${owner.logicalId}: ${uri} invokes no Lambda function`);
  return arn;
}

function gatewayResponseOf(response: Resource): GatewayResponseDefinition {
  const status = response.property('StatusCode');
  return {
    type: String(response.required('ResponseType')),
    statusCode: status === undefined ? undefined : Number(status),
    parameters: stringMap(response.property('ResponseParameters')),
    templates: stringMap(response.property('ResponseTemplates')),
  };
}

function usagePlanOf(stack: Stack, plan: Resource, api: Resource, stage: Resource): UsagePlanDefinition[] {
  const stages = plan.property('ApiStages') ?? [];
  const mine = (isArray(stages) ? stages : [])
    .map(object)
    .find((item) => item.ApiId === api.ref && item.Stage === stage.ref);
  if (mine === undefined) return [];
  const throttle = object(plan.property('Throttle'));
  const quota = object(plan.property('Quota'));
  return [
    {
      id: plan.ref,
      throttle:
        plan.property('Throttle') === undefined ? undefined : throttleOf(throttle.RateLimit, throttle.BurstLimit),
      quota:
        quota.Limit === undefined
          ? undefined
          : { limit: Number(quota.Limit), period: periodOf(quota.Period, plan), offset: Number(quota.Offset ?? 0) },
      methodThrottles: Object.fromEntries(
        Object.entries(object(mine.Throttle)).map(([path, value]) => {
          const { RateLimit, BurstLimit } = object(value);
          return [path, throttleOf(RateLimit, BurstLimit)];
        }),
      ),
      keyIds: stack
        .ofType('AWS::ApiGateway::UsagePlanKey')
        .filter((key) => key.required('UsagePlanId') === plan.ref)
        .map((key) => String(key.required('KeyId'))),
    },
  ];
}

function periodOf(period: Json | undefined, plan: Resource): 'DAY' | 'WEEK' | 'MONTH' {
  if (period === 'DAY' || period === 'WEEK' || period === 'MONTH') return period;
  throw new Error(`${plan.logicalId}: the quota's period is ${String(period)}, not DAY, WEEK or MONTH`);
}

function apiKeyOf(key: Resource, keyValues: KeyValues): ApiKeyDefinition {
  return {
    id: key.ref,
    name: string(key.property('Name'), key.path),
    value: string(key.property('Value'), keyValues(key.ref)),
    // CloudFormation's default is false; the CDK always sets it.
    enabled: truthy(key.property('Enabled')),
  };
}

/** Keys that a plan takes up by their ids, and whose values nobody knows here: each gets one. */
function importedKeysOf(
  plans: readonly UsagePlanDefinition[],
  known: readonly ApiKeyDefinition[],
  keyValues: KeyValues,
): ApiKeyDefinition[] {
  const ids = new Set(plans.flatMap(({ keyIds }) => keyIds));
  for (const { id } of known) ids.delete(id);
  return [...ids].map((id) => ({ id, name: id, value: keyValues(id), enabled: true }));
}

/** Without a rate there is no limit on it; API Gateway's account-wide ones are not stood in for. */
function throttleOf(rate: Json | undefined, burst: Json | undefined): Throttle {
  return {
    rateLimit: rate === undefined ? Number.POSITIVE_INFINITY : Number(rate),
    burstLimit: burst === undefined ? Number.POSITIVE_INFINITY : Number(burst),
  };
}

function only(resources: readonly Resource[], what: string): Resource {
  const [first, ...others] = resources;
  if (first !== undefined && others.length === 0) return first;
  const ids = resources.map((resource) => resource.logicalId).join(', ');
  throw new Error(`${what}: the local run takes exactly one, here are ${resources.length}${ids && ` (${ids})`}`);
}

function object(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function strings(value: Json | undefined): string[] {
  return isArray(value) ? value.map(String) : [];
}

function string(value: Json | undefined, otherwise: string): string {
  return value === undefined ? otherwise : String(value);
}

function stringMap(value: Json | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(object(value)).map(([key, item]) => [key, String(item)]));
}

/** Templates may hold booleans as strings. */
function truthy(value: Json | undefined): boolean {
  return value === true || value === 'true';
}
