import { ApiKey, CfnApiKey, type IApiKey } from 'aws-cdk-lib/aws-apigateway';
import { Construct, type IConstruct } from 'constructs';
import { requireBudget, requireName } from '../private/validation';
import type { Team } from './team';
import type { Tier } from './tier';

/** Of an API key. `bin/llm/keys.ts` has it, too. */
const CONSUMER_TAG = 'llm-serving:consumer';

/** Who calls: one API key, with its tier. */
export interface IConsumer extends IConstruct {
  /** Names the consumer in logs. */
  readonly consumerName: string;

  /** The API key. Its value is what clients send as `Authorization: Bearer` or `x-api-key`. */
  readonly apiKey: IApiKey;

  /** What the consumer may do. */
  readonly tier: Tier;

  /** With whom it shares a budget. */
  readonly team?: Team;

  /** What it may spend in a month, in USD, where that isn't what its tier says. */
  readonly monthlyBudgetUsd?: number;
}

/** Properties of a consumer. */
export interface ConsumerProps {
  /**
   * Names the consumer in logs: letters, digits and `_.-`, at most 64. Unique within a gateway.
   *
   * @default - the construct's id, in lower case
   */
  readonly consumerName?: string;

  /**
   * What the consumer may do.
   *
   * A deployed consumer can't be moved to another tier by a deployment alone: CloudFormation puts its key into the new
   * usage plan before it takes it out of the old one, and API Gateway allows a key one plan of a stage (409). Either
   * run `aws apigateway delete-usage-plan-key --usage-plan-id OLD --key-id KEY` right before `cdk deploy` (the key is
   * refused until the deployment is through), or make a new consumer, and remove the old one when its clients have
   * the new key.
   */
  readonly tier: Tier;

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

  /**
   * A note for whoever reads the list of keys.
   *
   * @default - names the consumer and its tier
   */
  readonly description?: string;

  /**
   * Whether the key works.
   *
   * @default true
   */
  readonly enabled?: boolean;
}

/** Attributes of a consumer whose key exists already. */
export interface ConsumerAttributes {
  /** The key's id in API Gateway. It isn't secret; its value is. */
  readonly apiKeyId: string;

  /**
   * Names the consumer in logs: letters, digits and `_.-`, at most 64. Unique within a gateway.
   *
   * @default - the construct's id, in lower case
   */
  readonly consumerName?: string;

  /**
   * What the consumer may do.
   *
   * A deployed consumer can't be moved to another tier by a deployment alone: see `tier` of `ConsumerProps` for the two
   * ways.
   */
  readonly tier: Tier;

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

/**
 * Who calls: one API key in a tier.
 *
 * API Gateway makes up the key's value, which never stands in a template; read it with
 * `aws apigateway get-api-key --include-value`.
 */
export class Consumer extends Construct implements IConsumer {
  /** Takes up a key that exists already, in no usage plan of the same gateway. */
  public static fromApiKeyAttributes(scope: Construct, id: string, attrs: ConsumerAttributes): IConsumer {
    return new ImportedConsumer(scope, id, attrs);
  }

  /** Names the consumer in logs. */
  public readonly consumerName: string;

  /** The API key. */
  public readonly apiKey: IApiKey;

  /** What the consumer may do. */
  public readonly tier: Tier;

  /** With whom it shares a budget. */
  public readonly team?: Team;

  /** What it may spend in a month, in USD, where that isn't what its tier says. */
  public readonly monthlyBudgetUsd?: number;

  constructor(scope: Construct, id: string, props: ConsumerProps) {
    super(scope, id);
    this.consumerName = nameOf(id, props.consumerName);
    this.tier = props.tier;
    requireBudget(props.monthlyBudgetUsd);
    this.team = props.team;
    this.monthlyBudgetUsd = props.monthlyBudgetUsd;
    this.apiKey = new ApiKey(this, 'Resource', {
      description: props.description ?? `Consumer ${this.consumerName}, tier ${props.tier.tierName}`,
      enabled: props.enabled ?? true,
    });
    // By it `llm-serving keys create` sees that the name is taken, whatever the description says.
    if (this.apiKey.node.defaultChild instanceof CfnApiKey) {
      this.apiKey.node.defaultChild.tags.setTag(CONSUMER_TAG, this.consumerName);
    }
    props.tier._addConsumer(this);
  }
}

class ImportedConsumer extends Construct implements IConsumer {
  public readonly consumerName: string;
  public readonly apiKey: IApiKey;
  public readonly tier: Tier;
  public readonly team?: Team;
  public readonly monthlyBudgetUsd?: number;

  constructor(scope: Construct, id: string, attrs: ConsumerAttributes) {
    super(scope, id);
    this.consumerName = nameOf(id, attrs.consumerName);
    this.tier = attrs.tier;
    requireBudget(attrs.monthlyBudgetUsd);
    this.team = attrs.team;
    this.monthlyBudgetUsd = attrs.monthlyBudgetUsd;
    this.apiKey = ApiKey.fromApiKeyId(this, 'Resource', attrs.apiKeyId);
    attrs.tier._addConsumer(this);
  }
}

function nameOf(id: string, given: string | undefined): string {
  const name = given ?? id.toLowerCase();
  requireName('consumerName', name, given === undefined);
  return name;
}
