import type { Json, JsonObject } from '../cloudformation/template.ts';

/** A deployed REST API, as the template has it, with one stage. */
export interface RestApiDefinition {
  readonly id: string;
  readonly account: string;
  readonly region: string;
  readonly name: string;
  readonly apiKeySource: 'HEADER' | 'AUTHORIZER';
  readonly binaryMediaTypes: readonly string[];
  /** A stream that is silent for so long is cut. */
  readonly idleTimeoutMs: number;
  readonly stage: StageDefinition;
  readonly resources: readonly ResourceDefinition[];
  readonly models: readonly ModelDefinition[];
  readonly gatewayResponses: readonly GatewayResponseDefinition[];
  readonly usagePlans: readonly UsagePlanDefinition[];
  readonly apiKeys: readonly ApiKeyDefinition[];
}

export interface StageDefinition {
  readonly name: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly accessLogFormat: string | undefined;
  readonly methodThrottles: readonly MethodThrottle[];
}

export interface MethodThrottle {
  /** `*` is every method. */
  readonly httpMethod: string;
  /** `*` is every resource. */
  readonly resourcePath: string;
  readonly throttle: Throttle;
}

/** Token bucket: requests a second, and the bucket's size. */
export interface Throttle {
  readonly rateLimit: number;
  readonly burstLimit: number;
}

export interface ResourceDefinition {
  /** `/v1/models/{model}` */
  readonly path: string;
  /** By HTTP method; `ANY` matches each that has none of its own. */
  readonly methods: ReadonlyMap<string, MethodDefinition>;
}

export interface MethodDefinition {
  readonly httpMethod: string;
  readonly apiKeyRequired: boolean;
  readonly authorizer: AuthorizerDefinition | undefined;
  readonly integration: IntegrationDefinition;
  /** Names of models by content type. */
  readonly requestModels: Readonly<Record<string, string>>;
  /** `method.request.header.x`: whether it is required. */
  readonly requestParameters: Readonly<Record<string, boolean>>;
  readonly validateBody: boolean;
  readonly validateParameters: boolean;
}

export interface AuthorizerDefinition {
  readonly id: string;
  readonly type: 'TOKEN' | 'REQUEST';
  readonly functionArn: string;
  /** `method.request.header.Authorization` */
  readonly identitySources: readonly string[];
  readonly identityValidation: string | undefined;
  readonly cacheSeconds: number;
}

export type IntegrationDefinition = LambdaIntegration | MockIntegration;

export interface LambdaIntegration {
  readonly type: 'AWS_PROXY';
  readonly functionArn: string;
  readonly responseTransferMode: 'BUFFERED' | 'STREAM';
  readonly timeoutMs: number;
}

export interface MockIntegration {
  readonly type: 'MOCK';
  /** By content type. */
  readonly requestTemplates: Readonly<Record<string, string>>;
  readonly responses: readonly IntegrationResponse[];
}

export interface IntegrationResponse {
  readonly statusCode: number;
  /** A regular expression on the status that the request template gave; absent in the default response. */
  readonly selectionPattern: string | undefined;
  /** `method.response.header.x`: an expression. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly templates: Readonly<Record<string, string>>;
}

export interface ModelDefinition {
  readonly name: string;
  readonly schema: Json;
}

export interface GatewayResponseDefinition {
  readonly type: string;
  readonly statusCode: number | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  readonly templates: Readonly<Record<string, string>>;
}

export interface UsagePlanDefinition {
  readonly id: string;
  readonly throttle: Throttle | undefined;
  readonly quota:
    | { readonly limit: number; readonly period: 'DAY' | 'WEEK' | 'MONTH'; readonly offset: number }
    | undefined;
  /** `/v1/models/{model}/GET` */
  readonly methodThrottles: Readonly<Record<string, Throttle>>;
  readonly keyIds: readonly string[];
}

export interface ApiKeyDefinition {
  readonly id: string;
  /** Name, else construct path. */
  readonly name: string;
  readonly value: string;
  readonly enabled: boolean;
}

export type { Json, JsonObject };
