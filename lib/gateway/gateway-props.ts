import type { Duration, RemovalPolicy, Size } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { IResponseCache } from '../cache/response-cache';
import type { Model } from '../model/model';
import type { IUsageLedger } from '../usage/usage-ledger';
import type { GatewayCompute } from './gateway-compute';
import type { Tier } from './tier';

/** How a gateway is set up. */
export interface GatewayOptions {
  /**
   * What the function runs on.
   *
   * @default GatewayCompute.lambda()
   */
  readonly compute?: GatewayCompute;

  /**
   * Where answers are kept, so that identical requests are answered at once and cost nothing. The function is put into
   * the cache's VPC, unless `compute` names one.
   *
   * @default - none: each request is answered anew
   */
  readonly cache?: IResponseCache;

  /**
   * The API's name in API Gateway, which is also a dimension of its metrics.
   *
   * @default - unique: the name of an `LlmServingStack`; otherwise that of the stack and the construct's path in it
   */
  readonly apiName?: string;

  /**
   * The CloudWatch namespace of the metrics of models and tiers: letters, digits and `._/#: -`, at most 255. Gateways
   * with the same one add up.
   *
   * @default - `LlmServing/<apiName>`
   */
  readonly metricsNamespace?: string;

  /**
   * The stage's name, which is part of the URL where there is no custom domain.
   *
   * @default 'live'
   */
  readonly stageName?: string;

  /**
   * Requests a second of all consumers together, in the long run, to each route: API Gateway counts a stage's limit by
   * method.
   *
   * @default 500
   */
  readonly requestsPerSecond?: number;

  /**
   * Requests of all consumers together to a route that may come at once.
   *
   * @default - twice `requestsPerSecond`
   */
  readonly burst?: number;

  /**
   * How long API Gateway may keep what the authorizer said about a key. With more than zero, requests cost one
   * invocation less, but keys are taken from `Authorization: Bearer` only, not from `x-api-key`: with several identity
   * sources a cache refuses every request that hasn't all of them. A deleted key is refused at once either way, for it
   * is API Gateway that knows the keys. At most 1 hour.
   *
   * @default Duration.seconds(0) - no cache; either header works
   */
  readonly authorizerCacheTtl?: Duration;

  /**
   * Origins whose web pages may call the API: `https://app.example.com`, or `*`. A key in a web page is everyone's key.
   *
   * @default - none: no CORS
   */
  readonly corsOrigins?: string[];

  /**
   * A domain name of your own; needs `certificate`.
   *
   * @default - API Gateway's
   */
  readonly domainName?: string;

  /**
   * The certificate for `domainName`, in the stack's region.
   *
   * @default - none
   */
  readonly certificate?: ICertificate;

  /**
   * The zone in which records for `domainName` are made.
   *
   * @default - none: you make the record yourself
   */
  readonly hostedZone?: IHostedZone;

  /**
   * A WAF web ACL (regional scope) to put before the API.
   *
   * @default - none
   */
  readonly webAclArn?: string;

  /**
   * The largest request body, at most 6 MiB. API Gateway hands it to Lambda inside an event of 6 MiB at most.
   *
   * @default Size.kibibytes(5888)
   */
  readonly maxRequestSize?: Size;

  /**
   * How long a request may take, from its start to the end of the answer; at most 14 minutes and 50 seconds.
   *
   * @default Duration.seconds(870)
   */
  readonly totalTimeout?: Duration;

  /**
   * How long an answer that isn't streamed may take, at most 4 minutes and 55 seconds: API Gateway cuts a connection
   * that is silent for 5 minutes.
   *
   * @default Duration.seconds(290)
   */
  readonly wholeAnswerTimeout?: Duration;

  /**
   * How long a stream's status waits for the first token, so that an error still has a status of its own.
   *
   * @default Duration.seconds(20)
   */
  readonly headersWait?: Duration;

  /**
   * How often a comment line goes out while a stream is silent.
   *
   * @default Duration.seconds(15)
   */
  readonly keepAliveInterval?: Duration;

  /**
   * Features of your application whose usage you want to see apart: clients name one in `metadata.feature` or in the
   * header `x-llm-feature`. Only declared ones become a metric dimension, for each is a paid metric.
   *
   * @default - none: every feature counts as `other`
   */
  readonly features?: string[];

  /**
   * Log prompts and answers.
   *
   * @default false
   */
  readonly logContent?: boolean;

  /**
   * How long logs are kept.
   *
   * @default RetentionDays.THREE_MONTHS
   */
  readonly logRetention?: RetentionDays;

  /**
   * What becomes of the logs when the stack is deleted.
   *
   * @default RemovalPolicy.DESTROY
   */
  readonly logRemovalPolicy?: RemovalPolicy;

  /**
   * The key that the logs and the functions' environment variables are encrypted with. A key of this app lets CloudWatch
   * Logs use it; the policy of an imported one must do so already.
   *
   * @default - the services' own
   */
  readonly encryptionKey?: IKey;

  /**
   * Trace requests with AWS X-Ray.
   *
   * @default true
   */
  readonly tracing?: boolean;

  /**
   * Where usage is kept, and limits of tiers and teams are counted.
   *
   * @default - `LlmServing` and `LlmServingStack`: one of their own; a `Gateway` by itself: none, and no limits
   */
  readonly usageLedger?: IUsageLedger;

  /**
   * Give API Gateway the right to write logs, which is a setting of the whole account and region. Turn it off where
   * something else manages that setting. The role stays when the stack is deleted, for other APIs may use it by then.
   *
   * @default true
   */
  readonly cloudWatchRole?: boolean;
}

/** Properties of a gateway. */
export interface GatewayProps extends GatewayOptions {
  /**
   * What clients may ask for. More can be added with `addModel`; at synthesis there must be one.
   *
   * @default - none yet
   */
  readonly models?: Model[];

  /**
   * The tiers whose consumers are let in. More can be added with `addTier`; at synthesis there must be one.
   *
   * @default - none yet
   */
  readonly tiers?: Tier[];
}
