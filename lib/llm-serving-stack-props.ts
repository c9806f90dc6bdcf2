import type { StackProps } from 'aws-cdk-lib';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import type { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import type { CacheOptions } from './cache/response-cache';
import type { BillAnomaliesOptions } from './cost/bill-anomalies';
import type { CostAlarmsOptions } from './cost/cost-alarms';
import type { MonthlyBudgetProps } from './cost/monthly-budget';
import type { FleetScaling } from './fleet/fleet-scaling';
import type { IGpuCapacity } from './fleet/gpu-capacity';
import type { IModelWeights } from './fleet/model-weights';
import type { IServingEngine } from './fleet/serving-engine';
import type { GatewayOptions } from './gateway/gateway-props';
import type { Team } from './gateway/team';
import type { TierProps } from './gateway/tier';
import type { JobQueueOptions } from './jobs/job-queue';
import type { ModelProps } from './model/model';

/** Where answers come from. */
export enum ServingPreset {
  /** Managed models alone: no VPC, nothing that costs when idle. */
  MANAGED = 'managed',
  /** Fleets of your own first, managed models when they are cold, full or broken. */
  HYBRID = 'hybrid',
  /** Fleets of your own only. */
  SELF_HOSTED = 'self-hosted',
}

/** The fleet of a `hybrid` or `self-hosted` stack. */
export interface StackFleetProps {
  /**
   * What runs the model.
   *
   * @default - vLLM, set up for the default weights
   */
  readonly engine?: IServingEngine;

  /**
   * The model.
   *
   * @default - Qwen3-8B from Hugging Face, under the Apache-2.0 licence
   */
  readonly weights?: IModelWeights;

  /**
   * The GPUs.
   *
   * @default - on-demand g6.xlarge (one L4), else g5.xlarge (one A10G)
   */
  readonly capacity?: IGpuCapacity;

  /**
   * How many tasks there are.
   *
   * @default - up to 2; none at idle times in `hybrid`, at least 1 in `self-hosted`
   */
  readonly scaling?: FleetScaling;

  /**
   * The image of the CloudWatch agent that reads the engine's metrics, for a VPC without a way to the internet.
   *
   * @default - a pinned version from Amazon ECR Public
   */
  readonly agentImage?: ContainerImage;

  /**
   * Names the fleet in metrics, logs and as a backend.
   *
   * @default 'main'
   */
  readonly fleetName?: string;
}

/** A consumer of the stack. */
export interface StackConsumer {
  /** Names the consumer in logs: letters, digits and `_.-`, at most 64. */
  readonly consumerName: string;

  /**
   * The name of its tier.
   *
   * @default - the only one
   */
  readonly tierName?: string;

  /**
   * The id of an API key that exists already.
   *
   * @default - a new key
   */
  readonly apiKeyId?: string;

  /**
   * With whom it shares a budget.
   *
   * @default - nobody
   */
  readonly team?: Team;

  /**
   * What it may spend in a calendar month (UTC), in USD.
   *
   * @default - what its tier says
   */
  readonly monthlyBudgetUsd?: number;
}

/** The cache that a stack makes for itself. */
export interface StackCacheProps extends CacheOptions {
  /**
   * How much it may hold, in GB: a ceiling for the bill. 1–5000.
   *
   * @default 5
   */
  readonly maxStorageGb?: number;

  /**
   * How many ElastiCache processing units a second it may use: a ceiling for the bill. 1000–15000000.
   *
   * @default 10000
   */
  readonly maxEcpuPerSecond?: number;
}

/** Properties of a stack that serves LLM models. */
export interface LlmServingStackProps extends StackProps, GatewayOptions {
  /**
   * Where answers come from.
   *
   * @default ServingPreset.MANAGED
   */
  readonly preset?: ServingPreset;

  /**
   * What clients may ask for; each with a `modelName`. More can be added with `addModel`.
   *
   * @default - `MANAGED`: `nova-lite`, Amazon Nova Lite on Bedrock; `HYBRID`: `chat`, the fleet, then Nova Lite;
   * `SELF_HOSTED`: `chat`, the fleet alone
   */
  readonly models?: ModelProps[];

  /**
   * The fleet of the presets `HYBRID` and `SELF_HOSTED`; `MANAGED` has none.
   *
   * @default - Qwen3-8B by vLLM on one L4
   */
  readonly fleet?: StackFleetProps;

  /**
   * Makes a cache (ElastiCache Serverless for Valkey, in the stack's VPC), so that identical requests are answered at
   * once and cost nothing. `{}` for the defaults; about $6 a month when idle, and what the VPC costs where it is new.
   * One that exists already is `cache`.
   *
   * @default - none: each request is answered anew
   */
  readonly responseCache?: StackCacheProps;

  /**
   * The VPC of the fleet, of `responseCache` and of the gateway's function.
   *
   * @default - a new one where there is a fleet or `responseCache`; else none
   */
  readonly vpc?: IVpc;

  /**
   * NAT gateways of a new VPC.
   *
   * @default - 1 when the fleet fetches images or weights from outside AWS or one of `models` has a backend there, else 0;
   * without a fleet 1, which is cheaper than VPC endpoints
   */
  readonly natGateways?: number;

  /**
   * What consumers may do; each with a `tierName`.
   *
   * @default - one, `standard`
   */
  readonly tiers?: TierProps[];

  /**
   * Who calls. The first 50 have outputs: the key's id, and the command that prints the key.
   *
   * @default - one, `default`, in the first tier
   */
  readonly consumers?: StackConsumer[];

  /**
   * Make a CloudWatch dashboard. An account's first three, of up to 50 metrics each, are free; others cost $3 a month.
   *
   * @default true
   */
  readonly dashboard?: boolean;

  /**
   * What a month of the whole stack may cost, in USD. Cost alarms tell of it, at about $3 a month of their own (docs/cost.md);
   * they stop nothing.
   *
   * @default - none: no cost alarms, unless `alarmEmails` are given
   */
  readonly monthlyBudgetUsd?: number;

  /**
   * E-mail addresses that cost alarms are sent to.
   *
   * @default - none
   */
  readonly alarmEmails?: string[];

  /**
   * More about the cost alarms: other limits, and who else is told. What is left out has its default.
   *
   * @default - what `monthlyBudgetUsd` and `alarmEmails` imply
   */
  readonly costAlarms?: CostAlarmsOptions;

  /**
   * Alarms for each model that tell of failing backends, $0.50 a month and model. They are sent to whom the cost alarms are.
   *
   * @default false
   */
  readonly failoverAlarms?: boolean;

  /**
   * A budget of AWS Budgets for the account's bill. It tells whom the cost alarms tell, unless it names others.
   *
   * @default - none
   */
  readonly accountBudget?: MonthlyBudgetProps;

  /**
   * AWS Cost Anomaly Detection for the account's bill. It tells whom the cost alarms tell.
   *
   * @default - none
   */
  readonly billAnomalies?: BillAnomaliesOptions;

  /**
   * Count the consumers that cost most with CloudWatch Contributor Insights: about $0.50 a month.
   *
   * @default false
   */
  readonly topConsumers?: boolean;

  /**
   * USD within an hour, at which all models are paused until somebody resumes them: their requests get 403. At $0.20 a
   * month for its alarms, and $1 for the key of a topic where there are no cost alarms.
   *
   * @default - none: no kill switch
   */
  readonly killSwitchHourlyUsd?: number;

  /**
   * Takes jobs as well: requests that are answered later. `{}` for the defaults.
   *
   * @default - live requests only
   */
  readonly jobs?: JobQueueOptions;
}
