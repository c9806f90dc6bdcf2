import { Annotations, ArnFormat, Duration, Lazy, RemovalPolicy, Stack, Token } from 'aws-cdk-lib';
import { type DomainName, EndpointType, type RestApi, SecurityPolicy } from 'aws-cdk-lib/aws-apigateway';
import { type Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Code, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { type LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AaaaRecord, ARecord, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { ApiGatewayDomain } from 'aws-cdk-lib/aws-route53-targets';
import { CfnWebACLAssociation } from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';
import type { Model } from '../model/model';
import { bindCache } from '../private/bind-cache';
import { corsConfig } from '../private/cors';
import { environmentProblem } from '../private/environment-size';
import { requireFeatures } from '../private/features';
import type { GatewayExtension } from '../private/gateway-extension';
import { handlerFolder } from '../private/handler-assets';
import { HandlerFunction } from '../private/handler-function';
import { bindLedger, ledgerConfig, ledgerProblems } from '../private/ledger-binding';
import { limitsConfig } from '../private/limits';
import { ModelRegistry } from '../private/model-registry';
import { defaultApiName, metricsNamespace } from '../private/names';
import { routingProblems } from '../private/routing';
import { semanticProblems } from '../private/semantic';
import { createServingApi } from '../private/serving-api';
import { ServingCode } from '../private/serving-code';
import { type CacheConfig, CONSUMERS_ENV, type ServingConfig } from '../private/serving-config';
import { servingSum } from '../private/serving-metrics';
import { requireBurst, requireDuration, requireKnown } from '../private/validation';
import type { IUsageLedger } from '../usage/usage-ledger';
import type { IConsumer } from './consumer';
import { GatewayCompute } from './gateway-compute';
import type { GatewayProps } from './gateway-props';
import type { Tier } from './tier';

/** Lambda's limit, and API Gateway's for a streamed integration. */
const FUNCTION_TIMEOUT = Duration.minutes(15);

/**
 * The OpenAI-compatible API: `POST /v1/chat/completions`, `GET /v1/models`, `GET /v1/models/{model}` for clients with a
 * key, `GET /health` for everyone; API Gateway in front, one streaming function behind.
 */
export class Gateway extends Construct {
  /** The API. */
  public readonly api: RestApi;

  /** The function that serves requests. */
  public readonly handler: LambdaFunction;

  /**
   * The function that takes the key out of a request's headers. That there is none is a refusal, not an error: its metric
   * `Errors` counts failures alone.
   */
  public readonly authorizer: LambdaFunction;

  /** The log of requests as API Gateway saw them. */
  public readonly accessLogGroup: LogGroup;

  /** The log of requests as the handler saw them, and its metrics. */
  public readonly handlerLogGroup: LogGroup;

  /** The custom domain, where there is one. */
  public readonly domain?: DomainName;

  /** The CloudWatch namespace of the metrics of models, tiers and features. */
  public readonly metricsNamespace: string;

  /** The declared features. */
  public readonly features: string[];

  /** Where usage is counted and limits are kept, where there is one. */
  public readonly usageLedger?: IUsageLedger;

  private readonly registry: ModelRegistry;
  private readonly ownTiers: Tier[] = [];
  private readonly cache?: CacheConfig;
  private readonly extension: GatewayExtension;

  constructor(scope: Construct, id: string, props: GatewayProps = {}) {
    super(scope, id);
    const stageName = props.stageName ?? 'live';
    requireKnown('stageName', stageName);
    if (!/^[A-Za-z0-9_]{1,128}$/.test(stageName)) {
      throw new Error(`stageName must be 1–128 letters, digits or "_", got "${stageName}"`);
    }
    const requestsPerSecond = props.requestsPerSecond ?? 500;
    const burst = requireBurst(requestsPerSecond, props.burst);
    const authorizerCacheTtl = props.authorizerCacheTtl ?? Duration.seconds(0);
    requireDuration('authorizerCacheTtl', authorizerCacheTtl, Duration.seconds(0), Duration.hours(1));
    if ((props.domainName === undefined) !== (props.certificate === undefined)) {
      throw new Error('domainName and certificate need each other: pass both, or neither');
    }
    if (props.hostedZone !== undefined && props.domainName === undefined)
      throw new Error('hostedZone needs domainName');
    requireFeatures(props.features ?? []);
    const cors = corsConfig(props.corsOrigins);
    const limits = limitsConfig(props);
    const apiName = props.apiName ?? defaultApiName(this);
    this.features = [...(props.features ?? [])];
    this.metricsNamespace = metricsNamespace(props.metricsNamespace, apiName);

    const given = props.compute ?? GatewayCompute.lambda();
    const compute = props.cache?.vpc === undefined ? given : given._inVpc(props.cache.vpc);
    const tracing = props.tracing ?? true;
    const logs = {
      logRetention: props.logRetention ?? RetentionDays.THREE_MONTHS,
      logRemovalPolicy: props.logRemovalPolicy ?? RemovalPolicy.DESTROY,
      encryptionKey: props.encryptionKey,
    };
    if (props.encryptionKey !== undefined) allowLogs(props.encryptionKey, this);

    const handler = new HandlerFunction(this, 'Handler', {
      description: 'Serves chat completions',
      code: new ServingCode(handlerFolder('api'), () => this.renderConfig(props, { limits, cors })),
      timeout: FUNCTION_TIMEOUT,
      tracing,
      ...compute._functionProps(),
      ...logs,
    });
    this.handler = handler.function;
    this.handlerLogGroup = handler.logGroup;
    const { invoked, connections } = compute._target(this, this.handler);
    this.registry = new ModelRegistry(this, this.handler, connections);
    this.usageLedger = props.usageLedger;
    bindLedger(props.usageLedger, this.handler);
    this.cache = props.cache && bindCache(this, props.cache, this.handler, connections);
    this.handler.addEnvironment(CONSUMERS_ENV, Lazy.uncachedString({ produce: () => this.renderConsumers() }));

    this.authorizer = new HandlerFunction(this, 'Authorizer', {
      description: 'Takes the API key out of a request',
      code: Code.fromAsset(handlerFolder('authorizer')),
      memorySize: 256,
      timeout: Duration.seconds(5),
      tracing,
      ...logs,
    }).function;

    const { api, accessLogGroup, addRoutes } = createServingApi(this, {
      apiName,
      stageName,
      target: invoked,
      integrationTimeout: FUNCTION_TIMEOUT,
      authorizer: this.authorizer,
      authorizerCacheTtl,
      requestsPerSecond,
      burst,
      cors,
      tracing,
      cloudWatchRole: props.cloudWatchRole ?? true,
      webAcl: props.webAclArn !== undefined,
      ...logs,
    });
    this.api = api;
    this.accessLogGroup = accessLogGroup;
    this.extension = {
      functionProps: { tracing, ...logs },
      network: compute._network(),
      config: () => this.renderConfig(props, { limits, cors }),
      consumers: Lazy.uncachedString({ produce: () => this.renderConsumers() }),
      bindLedger: (fn) => bindLedger(props.usageLedger, fn),
      bindCache: (fn, at) => {
        if (props.cache !== undefined) bindCache(this, props.cache, fn, at);
      },
      addRoutes,
      addCaller: (caller) => this.registry.addCaller(caller),
    };
    this.domain = this.addDomain(props);
    if (props.webAclArn !== undefined) {
      new CfnWebACLAssociation(this, 'WebAcl', {
        resourceArn: api.deploymentStage.stageArn,
        webAclArn: props.webAclArn,
      });
    }
    for (const model of props.models ?? []) this.addModel(model);
    for (const tier of props.tiers ?? []) this.addTier(tier);
    this.node.addValidation({ validate: () => this.problems(props) });
  }

  /** The base URL that clients are given: `https://…/v1`. */
  public get url(): string {
    return this.domain === undefined
      ? this.api.deploymentStage.urlForPath('/v1')
      : `https://${this.domain.domainName}/v1`;
  }

  /** The tiers whose consumers are let in. */
  public get tiers(): Tier[] {
    return [...this.ownTiers];
  }

  /** What clients may ask for, in the order in which it was added. */
  public get models(): Model[] {
    return this.registry.all;
  }

  /** Makes a model available, and gives the function the right to call its backends. */
  public addModel(model: Model): void {
    this.registry.add(model);
    model._addedToGateway(this.metricsNamespace);
  }

  /** Lets a tier's consumers in. */
  public addTier(tier: Tier): void {
    if (this.ownTiers.some((other) => other.tierName === tier.tierName)) {
      throw new Error(`two tiers of one gateway have the name "${tier.tierName}": give one of them another tierName`);
    }
    if (Stack.of(tier) !== Stack.of(this)) {
      throw new Error(
        `tier "${tier.tierName}" is in stack ${Stack.of(tier).node.path}, its gateway in ${Stack.of(this).node.path}: each would need the other first, so make the tier in the gateway's stack`,
      );
    }
    this.ownTiers.push(tier);
    tier._addedToGateway(this.metricsNamespace);
    tier.usagePlan.addApiStage({ api: this.api, stage: this.api.deploymentStage });
  }

  /** Requests to the API, refused ones too; their sum over 5 minutes unless told otherwise. */
  public metricRequests(options?: MetricOptions): Metric {
    return this.api.deploymentStage.metricCount({ statistic: Stats.SUM, ...options });
  }

  /**
   * Answers with a 4xx, by API Gateway or by the handler, to requests without a valid key too; their sum over 5 minutes
   * unless told otherwise.
   */
  public metricClientErrors(options?: MetricOptions): Metric {
    return this.api.deploymentStage.metricClientError({ statistic: Stats.SUM, ...options });
  }

  /** Answers with a 5xx, by API Gateway or by the handler; their sum over 5 minutes unless told otherwise. */
  public metricServerErrors(options?: MetricOptions): Metric {
    return this.api.deploymentStage.metricServerError({ statistic: Stats.SUM, ...options });
  }

  /** What all answers cost, in USD; the sum over 5 minutes unless told otherwise. */
  public metricCostUsd(options?: MetricOptions): Metric {
    return servingSum(this.metricsNamespace, 'CostUsd', {}, options);
  }

  /**
   * Requests whose backend told no usage, so that their tokens are an estimate; their sum over 5 minutes unless told
   * otherwise.
   */
  public metricUsageEstimated(options?: MetricOptions): Metric {
    return servingSum(this.metricsNamespace, 'UsageEstimated', {}, options);
  }

  /**
   * Consumers that were paused because they crossed a hard limit (`KillSwitch`); their sum over 5 minutes unless told
   * otherwise.
   */
  public metricConsumersPaused(options?: MetricOptions): Metric {
    return servingSum(this.metricsNamespace, 'ConsumersPaused', {}, options);
  }

  /**
   * What the answers of one of the declared features cost, in USD; the sum over 5 minutes unless told otherwise.
   *
   * @throws when it isn't declared
   */
  public metricFeatureCostUsd(feature: string, options?: MetricOptions): Metric {
    if (!this.features.includes(feature)) {
      throw new Error(
        `feature "${feature}" is not declared, so it has no metrics of its own: add it to the gateway's features`,
      );
    }
    return servingSum(this.metricsNamespace, 'CostUsd', { feature }, options);
  }

  /**
   * For functions beside the gateway's own.
   *
   * @internal
   */
  public _extension(): GatewayExtension {
    return this.extension;
  }

  /** @internal */
  public _models(): Model[] {
    return this.registry.all;
  }

  /** Those whose answers are kept. @internal */
  public _cachedModels(): Model[] {
    const { cache } = this;
    if (cache === undefined) return [];
    return this.models.filter((model) => model.cache?._render().enabled ?? cache.policy.enabled);
  }

  private addDomain(props: GatewayProps): DomainName | undefined {
    if (props.domainName === undefined || props.certificate === undefined) return undefined;
    const domain = this.api.addDomainName('Domain', {
      domainName: props.domainName,
      certificate: props.certificate,
      endpointType: EndpointType.REGIONAL,
      securityPolicy: SecurityPolicy.TLS_1_2,
    });
    if (props.hostedZone !== undefined) {
      const record = {
        zone: props.hostedZone,
        // With a dot: the CDK appends the zone's name to what doesn't end in it, and may not know it.
        recordName: `${props.domainName}.`,
        target: RecordTarget.fromAlias(new ApiGatewayDomain(domain)),
      };
      new ARecord(this, 'AliasIpv4', record);
      new AaaaRecord(this, 'AliasIpv6', record);
    }
    return domain;
  }

  private renderConfig(props: GatewayProps, rendered: Pick<ServingConfig, 'limits' | 'cors'>): ServingConfig {
    return {
      version: 1,
      models: this.registry.render(),
      tiers: this.ownTiers.map((tier) => tier._render((name) => this.registry.nameOf(name) ?? name)),
      features: props.features ?? [],
      limits: rendered.limits,
      metrics: { namespace: this.metricsNamespace },
      logContent: props.logContent ?? false,
      ...ledgerConfig(props.usageLedger, rendered.limits.totalTimeoutMs, this.consumers),
      ...(this.cache && { cache: this.cache }),
      ...(rendered.cors && { cors: rendered.cors }),
    };
  }

  private get consumers(): IConsumer[] {
    return this.ownTiers.flatMap((tier) => tier.consumers);
  }

  private renderConsumers(): string {
    return this.consumers
      .map((consumer) => `${consumer.apiKey.keyId}=${consumer.consumerName}:${consumer.tier.tierName}`)
      .join(',');
  }

  private problems({ usageLedger: ledger, cache }: GatewayProps): string[] {
    const problems: string[] = [];
    if (this.registry.size === 0) problems.push('a gateway needs a model: pass models, or call addModel');
    if (this.ownTiers.length === 0)
      problems.push('a gateway needs a tier, or nobody can call it: pass tiers, or call addTier');
    for (const tier of this.ownTiers) {
      for (const model of tier.allowedModels ?? []) {
        if (this.registry.nameOf(model) === undefined) {
          problems.push(`tier "${tier.tierName}" allows model "${model}", which this gateway doesn't have`);
        }
      }
    }
    const tierNames = this.ownTiers.map(({ tierName }) => tierName);
    problems.push(...routingProblems(this.registry.render(), tierNames));
    problems.push(...semanticProblems(this.registry.render(), this.cache, cache?._searchesVectors ?? false));
    const names = this.consumers.map((consumer) => consumer.consumerName);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) problems.push(`two consumers of one gateway have the name "${twice}"`);
    const keys = this.consumers.map((consumer) => consumer.apiKey.keyId);
    const shared = keys.find((key, index) => keys.indexOf(key) !== index);
    if (shared !== undefined) {
      problems.push(
        `two consumers of one gateway have the API key "${shared}": a key has one tier, and stands for one`,
      );
    }
    problems.push(...ledgerProblems(ledger, this.ownTiers, (name) => this.registry.nameOf(name) !== undefined));
    const tooLarge = environmentProblem(this.handler);
    if (tooLarge !== undefined) problems.push(tooLarge);
    return problems;
  }
}

/** CloudWatch Logs encrypts by itself, so the key's policy must let it. */
function allowLogs(key: IKey, scope: Construct): void {
  const stack = Stack.of(scope);
  const principal = `logs.${stack.region}.${stack.urlSuffix}`;
  const { statementAdded } = key.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal(principal)],
      actions: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
      resources: ['*'],
      conditions: {
        ArnLike: {
          'kms:EncryptionContext:aws:logs:arn': stack.formatArn({
            service: 'logs',
            resource: 'log-group',
            resourceName: '*',
            arnFormat: ArnFormat.COLON_RESOURCE_NAME,
          }),
        },
      },
    }),
  );
  if (!statementAdded) {
    Annotations.of(scope).addWarningV2(
      'cdk-llm-serving:keyPolicy',
      `encryptionKey is not of this app, so its policy is yours to edit: unless it lets ${Token.isUnresolved(stack.region) ? "CloudWatch Logs of the stack's region" : principal} encrypt and decrypt, no log group can be made`,
    );
  }
}
