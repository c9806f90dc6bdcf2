import { Construct } from 'constructs';
import { Consumer } from './gateway/consumer';
import { Gateway } from './gateway/gateway';
import type { GatewayOptions } from './gateway/gateway-props';
import { Tier } from './gateway/tier';
import { JobQueue, type JobQueueOptions } from './jobs/job-queue';
import type { Model } from './model/model';
import { defaultApiName } from './private/names';
import { type IUsageLedger, UsageLedger } from './usage/usage-ledger';

/** Properties of an LLM serving. */
export interface LlmServingProps extends GatewayOptions {
  /**
   * What clients may ask for. More can be added with `addModel`; at synthesis there must be one.
   *
   * @default - none yet
   */
  readonly models?: Model[];

  /**
   * The tiers whose consumers are let in.
   *
   * @default - a tier `standard` with one consumer `default`, so that the first deployment can be called
   */
  readonly tiers?: Tier[];

  /**
   * Takes jobs as well: requests that are answered later. `{}` for the defaults.
   *
   * @default - live requests only
   */
  readonly jobs?: JobQueueOptions;
}

/** LLM models in production behind an OpenAI-compatible API: the gateway, and what belongs to it. */
export class LlmServing extends Construct {
  /** The API. */
  public readonly gateway: Gateway;

  /** Where usage is kept, and limits are counted. */
  public readonly usageLedger: IUsageLedger;

  /** The queue of jobs, where there is one. */
  public readonly jobs?: JobQueue;

  /** The consumer that is made when no tiers are given. */
  public readonly defaultConsumer?: Consumer;

  constructor(scope: Construct, id: string, props: LlmServingProps = {}) {
    super(scope, id);
    let tiers = props.tiers;
    if (tiers === undefined) {
      const tier = new Tier(this, 'Standard');
      this.defaultConsumer = new Consumer(this, 'Default', { tier });
      tiers = [tier];
    }
    this.usageLedger = props.usageLedger ?? new UsageLedger(this, 'Ledger');
    this.gateway = new Gateway(this, 'Gateway', {
      ...{ ...props, tiers, usageLedger: this.usageLedger },
      apiName: props.apiName ?? defaultApiName(this),
    });
    if (props.jobs !== undefined) this.jobs = new JobQueue(this, 'Jobs', { ...props.jobs, gateway: this.gateway });
  }

  /** The base URL that clients are given: `https://…/v1`. */
  public get url(): string {
    return this.gateway.url;
  }

  /** Makes a model available. */
  public addModel(model: Model): void {
    this.gateway.addModel(model);
  }

  /** Lets a tier's consumers in. */
  public addTier(tier: Tier): void {
    this.gateway.addTier(tier);
  }
}
