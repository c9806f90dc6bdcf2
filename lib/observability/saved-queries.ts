import { Names, Stack } from 'aws-cdk-lib';
import { CfnInsightRule } from 'aws-cdk-lib/aws-cloudwatch';
import { QueryDefinition, QueryString } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Gateway } from '../gateway/gateway';

/** Properties of saved queries. */
export interface SavedQueriesProps {
  /** The gateway whose log is asked. */
  readonly gateway: Gateway;

  /**
   * Count the consumers that cost most with CloudWatch Contributor Insights, too. A rule costs about $0.50 a month, and
   * $0.02 per million requests.
   *
   * @default false
   */
  readonly topConsumers?: boolean;
}

/** The log's line of a request; others are of backends that failed. */
const REQUESTS = 'message = "chat completion"';

/**
 * Queries of CloudWatch Logs Insights over a gateway's log, saved under the name of its metrics: who costs most, which
 * requests did, which were slowest, and where backends failed. They cost nothing until somebody runs one.
 */
export class SavedQueries extends Construct {
  /** Users, by what their answers cost. */
  public readonly topUsers: QueryDefinition;

  /** Single requests, by what they cost. */
  public readonly dearestRequests: QueryDefinition;

  /** Single requests, by how long they took. */
  public readonly slowestRequests: QueryDefinition;

  /** Backends that failed, by how and how often. */
  public readonly failovers: QueryDefinition;

  /** The consumers that cost most, where they are counted. */
  public readonly topConsumers?: CfnInsightRule;

  private readonly gateway: Gateway;

  constructor(scope: Construct, id: string, props: SavedQueriesProps) {
    super(scope, id);
    this.gateway = props.gateway;
    this.topUsers = this.query('Top users', {
      filterStatements: [REQUESTS],
      statsStatements: [
        'sum(CostUsd) as usd, count(*) as requests, sum(InputTokens) as input, sum(OutputTokens) as output by consumer, user, feature_name',
      ],
      sort: 'usd desc',
      limit: 50,
    });
    this.dearestRequests = this.query('Dearest requests', {
      fields: [
        '@timestamp',
        'CostUsd',
        'consumer',
        'user',
        'model',
        'backend',
        'InputTokens',
        'OutputTokens',
        'attempts',
        'usage_estimated',
        'request_id',
      ],
      filterStatements: [REQUESTS],
      sort: 'CostUsd desc',
      limit: 50,
    });
    this.slowestRequests = this.query('Slowest requests', {
      fields: [
        '@timestamp',
        'Duration',
        'TimeToFirstToken',
        'model',
        'backend',
        'OutputTokens',
        'attempts',
        'retries',
        'status',
        'request_id',
      ],
      filterStatements: [REQUESTS],
      sort: 'Duration desc',
      limit: 50,
    });
    this.failovers = this.query('Failovers', {
      filterStatements: ['message = "backend failed"'],
      statsStatements: ['count(*) as failures, latest(@timestamp) as last by model, backend, kind, backend_status'],
      sort: 'failures desc',
      limit: 50,
    });
    if (props.topConsumers ?? false) this.topConsumers = this.rule();
  }

  private query(name: string, query: ConstructorParameters<typeof QueryString>[0]): QueryDefinition {
    return new QueryDefinition(this, name.replaceAll(' ', ''), {
      queryDefinitionName: `${this.gateway.metricsNamespace}/${name}`,
      queryString: new QueryString(query),
      logGroups: [this.gateway.handlerLogGroup],
    });
  }

  private rule(): CfnInsightRule {
    const body = {
      Schema: { Name: 'CloudWatchLogRule', Version: 1 },
      LogGroupNames: [this.gateway.handlerLogGroup.logGroupName],
      LogFormat: 'JSON',
      Contribution: {
        Keys: ['$.consumer'],
        ValueOf: '$.CostUsd',
        Filters: [{ Match: '$.message', In: ['chat completion'] }],
      },
      AggregateOn: 'Sum',
    };
    return new CfnInsightRule(this, 'TopConsumers', {
      ruleName: Names.uniqueResourceName(this, { maxLength: 128, separator: '-' }),
      ruleState: 'ENABLED',
      ruleBody: Stack.of(this).toJsonString(body),
    });
  }
}
