import { Annotations, CfnOutput, Stack } from 'aws-cdk-lib';
import type { Alarm } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { InstanceType, InterfaceVpcEndpointAwsService, type IVpc } from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { ResponseCache } from './cache/response-cache';
import { BillAnomalies } from './cost/bill-anomalies';
import { CostAlarms, type CostAlarmsOptions } from './cost/cost-alarms';
import { KillSwitch } from './cost/kill-switch';
import { MonthlyBudget } from './cost/monthly-budget';
import { GpuCapacity } from './fleet/gpu-capacity';
import { ModelFleet } from './fleet/model-fleet';
import { ModelWeights } from './fleet/model-weights';
import { ServingEngine } from './fleet/serving-engine';
import { ServingVpc } from './fleet/serving-vpc';
import { Consumer } from './gateway/consumer';
import { GatewayCompute } from './gateway/gateway-compute';
import { Tier, type TierProps } from './gateway/tier';
import { LlmServing } from './llm-serving';
import { type LlmServingStackProps, ServingPreset, type StackConsumer } from './llm-serving-stack-props';
import { Backend } from './model/backend';
import { FailoverAlarms } from './model/failover-alarms';
import { Model, type ModelProps } from './model/model';
import { SavedQueries } from './observability/saved-queries';
import { ServingDashboard } from './observability/serving-dashboard';
import { acknowledgeEndpoints } from './private/fleet/nag-reasons';
import { isIsolated, needsInternet } from './private/fleet/needs-internet';
import { defaultApiName } from './private/names';

/** CloudFormation allows 200 outputs of a stack, and each consumer takes two. */
const MAX_CONSUMERS_WITH_OUTPUTS = 50;

/** A deployable stack around `LlmServing`, with everything in its properties. */
export class LlmServingStack extends Stack {
  /** What the stack is made of. */
  public readonly serving: LlmServing;

  /** The fleet; undefined in the preset `MANAGED`. */
  public readonly fleet?: ModelFleet;

  /** The cache that the stack made; undefined without `responseCache`. */
  public readonly responseCache?: ResponseCache;

  /** The cost alarms; undefined without `monthlyBudgetUsd`, `alarmEmails` and `costAlarms`. */
  public readonly costAlarms?: CostAlarms;

  /** The kill switch; undefined without `killSwitchHourlyUsd`. */
  public readonly killSwitch?: KillSwitch;

  /** The dashboard; undefined if it was not wanted. */
  public readonly dashboard?: ServingDashboard;

  private readonly models: Construct;
  private readonly vpc?: IVpc;
  /** Where failover alarms of models are; undefined where none are wanted, or not yet. */
  private failover?: { readonly scope: Construct; readonly alarms: Alarm[] };

  constructor(scope: Construct, id: string, props: LlmServingStackProps = {}) {
    super(scope, id, { description: 'LLM models behind an OpenAI-compatible API', ...props });
    const preset = props.preset ?? ServingPreset.MANAGED;
    requirePreset(preset, props);
    const fleet = preset === ServingPreset.MANAGED ? undefined : createStackFleet(this, preset, props);
    this.fleet = fleet;
    this.responseCache = makeCache(this, fleet, props);
    this.vpc = fleet?.vpc ?? this.responseCache?.vpc;
    this.models = new Construct(this, 'Models');
    const tiers = makeTiers(this, props.tiers ?? [{ tierName: 'standard' }]);
    const consumers = makeConsumers(this, tiers, props.consumers);
    const compute = fleet ? (props.compute ?? GatewayCompute.lambda())._inVpc(fleet.vpc) : props.compute;
    this.serving = new LlmServing(this, 'Serving', {
      ...props,
      compute,
      cache: props.cache ?? this.responseCache,
      apiName: props.apiName ?? defaultApiName(this),
      models: [],
      tiers,
    });
    for (const model of props.models ?? defaultModels(preset, fleet)) this.addModel(model);
    this.addOutputs(consumers);
    const { gateway, jobs } = this.serving;
    const alarmOptions = costAlarmsOf(props);
    if (alarmOptions !== undefined) this.costAlarms = new CostAlarms(this, 'CostAlarms', { ...alarmOptions, gateway });
    if (props.killSwitchHourlyUsd !== undefined) {
      this.killSwitch = new KillSwitch(this, 'KillSwitch', {
        ...{ gateway, hourlyUsd: props.killSwitchHourlyUsd },
        ...{ topic: this.costAlarms?.topic, encryptionKey: props.encryptionKey },
      });
    }
    const failoverAlarms = this.watch(props);
    new SavedQueries(this, 'Queries', { gateway, topConsumers: props.topConsumers });
    if (props.dashboard ?? true) {
      const { costAlarms } = this;
      this.dashboard = new ServingDashboard(this, 'Dashboard', { gateway, costAlarms, jobs, alarms: failoverAlarms });
    }
  }

  /** Makes a model and makes it available; for backends that refer to resources of the stack, such as secrets. */
  public addModel(props: ModelProps): Model {
    if (props.modelName === undefined) throw new Error('a model of the stack has no modelName: pass one');
    const id = childId('models', this.models.node.children.length, props.modelName, this.models);
    const model = new Model(this.models, id, props);
    this.serving.addModel(model);
    this.warnOfIsolation(model);
    this.watchFailover(model);
    return model;
  }

  /** Besides money. @returns alarms of failover, also of models that are added later */
  private watch(props: LlmServingStackProps): Alarm[] {
    const topic = this.costAlarms?.topic;
    const { accountBudget, billAnomalies } = props;
    if (topic !== undefined) {
      for (const alarm of this.serving.jobs?._alarms ?? []) alarm.addAlarmAction(new SnsAction(topic));
    }
    if (accountBudget !== undefined) {
      const tells = accountBudget.topic === undefined && accountBudget.emails === undefined ? { topic } : {};
      new MonthlyBudget(this, 'AccountBudget', { ...accountBudget, ...tells });
    }
    if (billAnomalies !== undefined) {
      if (topic === undefined) {
        throw new Error(
          'billAnomalies tells nobody: pass alarmEmails, monthlyBudgetUsd or costAlarms, which make a topic',
        );
      }
      new BillAnomalies(this, 'BillAnomalies', { ...billAnomalies, topic });
    }
    const alarms: Alarm[] = [];
    if (props.failoverAlarms ?? false) {
      this.failover = { scope: new Construct(this, 'FailoverAlarms'), alarms };
      for (const model of this.serving.gateway.models) this.watchFailover(model);
    }
    return alarms;
  }

  private watchFailover(model: Model): void {
    if (this.failover === undefined) return;
    const topic = this.costAlarms?.topic;
    const actions = topic === undefined ? [] : [new SnsAction(topic)];
    const made = new FailoverAlarms(this.failover.scope, model.node.id, { model, actions });
    this.failover.alarms.push(made.failoverRate, made.breakerOpened, made.allBackendsFailed, made.credentialErrors);
  }

  private warnOfIsolation({ modelName, backends }: Model): void {
    if (this.vpc === undefined || !isIsolated(this.vpc)) return;
    for (const { backendId, _internet } of backends) {
      if (_internet === undefined) continue;
      Annotations.of(this).addWarningV2(
        `cdk-llm-serving:backendNeedsInternet-${backendId}`,
        `backend "${backendId}" of model "${modelName}" calls ${_internet}, but the VPC has no way to the internet: pass natGateways: 1, or a VPC that has one`,
      );
    }
  }

  private addOutputs(consumers: ReadonlyMap<string, string>): void {
    new CfnOutput(this, 'ApiEndpoint', {
      value: this.serving.url,
      description: 'base_url of the OpenAI SDKs',
    });
    new CfnOutput(this, 'UsageTable', {
      value: this.serving.usageLedger.tableName,
      description: 'Where usage is kept: for llm-serving usage --table',
    });
    const { jobs } = this.serving;
    if (jobs !== undefined) {
      new CfnOutput(this, 'JobsEnvironment', {
        value: Object.entries(jobs._environment)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
        description: 'Environment of `llm-serving jobs`',
      });
    }
    const suffixes = new Map<string, string>();
    for (const [name, keyId] of [...consumers].slice(0, MAX_CONSUMERS_WITH_OUTPUTS)) {
      // The first one's outputs have names that scripts can rely on.
      const suffix = suffixes.size === 0 ? '' : pascalCase(name);
      const other = suffixes.get(suffix);
      if (other !== undefined) {
        throw new Error(
          `consumers "${other}" and "${name}" would have the same outputs, ApiKeyId${suffix}: rename one of them`,
        );
      }
      suffixes.set(suffix, name);
      new CfnOutput(this, `ApiKeyId${suffix}`, { value: keyId, description: `Id of the API key of consumer ${name}` });
      new CfnOutput(this, `ApiKeyCommand${suffix}`, {
        value: `aws apigateway get-api-key --api-key ${keyId} --include-value --query value --output text --region ${this.region}`,
        description: `Prints the API key of consumer ${name}`,
      });
    }
  }
}

function requirePreset(preset: ServingPreset, props: LlmServingStackProps): void {
  if (!Object.values(ServingPreset).includes(preset)) {
    throw new Error(`preset must be one of ${Object.values(ServingPreset).join(', ')}, got "${preset}"`);
  }
  for (const prop of ['fleet', 'vpc', 'natGateways'] as const) {
    if (preset !== ServingPreset.MANAGED || props[prop] === undefined) continue;
    if (prop === 'fleet') throw new Error(`fleet needs preset "hybrid" or "self-hosted": "managed" has none`);
    if (props.responseCache === undefined) {
      throw new Error(`${prop} needs preset "hybrid" or "self-hosted", or responseCache: else there is no VPC`);
    }
  }
  if (props.cache !== undefined && props.responseCache !== undefined) {
    throw new Error('cache and responseCache exclude each other: pass the cache that exists, or have one made');
  }
  if (props.vpc !== undefined && props.natGateways !== undefined) {
    throw new Error('natGateways is for a new VPC: leave it out with vpc');
  }
}

/** What the shorthands say of the cost alarms, and what is said besides; undefined where none are wanted. */
function costAlarmsOf(props: LlmServingStackProps): CostAlarmsOptions | undefined {
  const { monthlyBudgetUsd, alarmEmails, costAlarms, encryptionKey } = props;
  if (monthlyBudgetUsd === undefined && alarmEmails === undefined && costAlarms === undefined) return undefined;
  if (monthlyBudgetUsd !== undefined && costAlarms?.monthlyBudgetUsd !== undefined) {
    throw new Error('monthlyBudgetUsd is given twice, in costAlarms too: leave it out of one of them');
  }
  const emails = [...(alarmEmails ?? []), ...(costAlarms?.emails ?? [])];
  return { encryptionKey, monthlyBudgetUsd, ...costAlarms, ...(emails.length > 0 && { emails }) };
}

function makeCache(
  stack: Stack,
  fleet: ModelFleet | undefined,
  props: LlmServingStackProps,
): ResponseCache | undefined {
  const { responseCache, natGateways = 1, encryptionKey } = props;
  if (responseCache === undefined) return undefined;
  const vpc = fleet?.vpc ?? props.vpc ?? new ServingVpc(stack, 'Vpc', { natGateways }).vpc;
  return new ResponseCache(stack, 'Cache', { ...responseCache, vpc, encryptionKey });
}

function createStackFleet(stack: Stack, preset: ServingPreset, props: LlmServingStackProps): ModelFleet {
  const given = props.fleet ?? {};
  if (given.weights !== undefined && given.engine === undefined) {
    throw new Error('fleet.weights needs fleet.engine: the default engine is set up for the default weights');
  }
  const model = {
    engine:
      given.engine ?? ServingEngine.vllm({ contextLength: 16384, toolCallParser: 'hermes', reasoningParser: 'qwen3' }),
    weights: given.weights ?? ModelWeights.huggingFace('Qwen/Qwen3-8B'),
    agentImage: given.agentImage,
  };
  const outside = (props.models ?? []).some(({ backends }) =>
    backends.some(({ _internet }) => _internet !== undefined),
  );
  const natGateways = props.natGateways ?? (needsInternet(model) || outside ? 1 : 0);
  return new ModelFleet(stack, 'Fleet', {
    ...model,
    fleetName: given.fleetName ?? 'main',
    vpc: props.vpc ?? createStackVpc(stack, natGateways, props.jobs !== undefined),
    capacity:
      given.capacity ??
      GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6.xlarge'), new InstanceType('g5.xlarge')] }),
    scaling: given.scaling ?? { minTasks: preset === ServingPreset.HYBRID ? 0 : 1, maxTasks: 2 },
  });
}

/** No static reply behind them: a first deployment that isn't allowed to use the model must not look like success. */
function defaultModels(preset: ServingPreset, fleet: ModelFleet | undefined): ModelProps[] {
  const managed = Backend.bedrock('amazon.nova-lite-v1:0');
  if (fleet === undefined) return [{ modelName: 'nova-lite', backends: [managed] }];
  const own = Backend.fleet(fleet);
  return [{ modelName: 'chat', backends: preset === ServingPreset.HYBRID ? [own, managed] : [own] }];
}

function makeTiers(stack: Stack, tiers: readonly TierProps[]): Tier[] {
  if (tiers.length === 0) throw new Error('tiers must hold at least one tier: leave it out for a tier "standard"');
  const scope = new Construct(stack, 'Tiers');
  return tiers.map((tier, index) => {
    if (tier.tierName === undefined) throw new Error(`tiers[${index}] has no tierName`);
    const id = childId('tiers', index, tier.tierName, scope);
    return placed(`tiers[${index}]`, () => new Tier(scope, id, tier));
  });
}

/** Names of consumers and ids of their keys, in the order in which they were declared. */
function makeConsumers(
  stack: Stack,
  tiers: readonly Tier[],
  given: readonly StackConsumer[] | undefined,
): Map<string, string> {
  const scope = new Construct(stack, 'Consumers');
  const declared: readonly StackConsumer[] = given ?? [{ consumerName: 'default', tierName: tiers[0]?.tierName }];
  const keys = new Map<string, string>();
  for (const [index, { tierName, apiKeyId, ...rest }] of declared.entries()) {
    const { consumerName } = rest;
    const tier = tierName === undefined && tiers.length === 1 ? tiers[0] : tiers.find((t) => t.tierName === tierName);
    if (tier === undefined) {
      const names = tiers.map((t) => t.tierName).join(', ');
      throw new Error(
        tierName === undefined
          ? `consumer "${consumerName}" names no tier, and there are several: set tierName to one of ${names}`
          : `consumer "${consumerName}" is in tier "${tierName}", which isn't declared: the tiers are ${names}`,
      );
    }
    const id = childId('consumers', index, consumerName, scope);
    const consumer = placed(`consumers[${index}]`, () =>
      apiKeyId === undefined
        ? new Consumer(scope, id, { ...rest, tier })
        : Consumer.fromApiKeyAttributes(scope, id, { ...rest, tier, apiKeyId }),
    );
    keys.set(consumerName, consumer.apiKey.keyId);
  }
  return keys;
}

/** What is refused, with the place in the properties where it stands. */
function placed<T>(place: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new Error(`${place}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** A construct's id is its name, so that reordering the list replaces nothing. */
function childId(prop: string, index: number, name: string, scope: Construct): string {
  const id = name.replaceAll('/', '-');
  if (scope.node.tryFindChild(id) !== undefined)
    throw new Error(`${prop}[${index}] has the same name as another: "${name}"`);
  return id;
}

function pascalCase(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

function createStackVpc(stack: Stack, natGateways: number, hasJobs: boolean): IVpc {
  const { vpc } = new ServingVpc(stack, 'Vpc', { natGateways });
  // Functions inside it take jobs and hand them on.
  if (hasJobs && isIsolated(vpc)) {
    acknowledgeEndpoints(vpc.addInterfaceEndpoint('Sqs', { service: InterfaceVpcEndpointAwsService.SQS }));
  }
  return vpc;
}
