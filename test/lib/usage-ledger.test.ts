import { App, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { describe, expect, test } from 'vitest';
import { BudgetAction, Consumer, LedgerUnavailable, LlmServing, Team, Tier, UsageLedger } from '../../lib';
import { anyModel, newStack, statements, synthesize } from './fixture.ts';

const TABLE = 'AWS::DynamoDB::Table';

describe('UsageLedger', () => {
  test('is paid by use, encrypted, recoverable, and stays when its stack goes', () => {
    const stack = newStack();
    new UsageLedger(stack, 'Ledger');
    const template = Template.fromStack(stack);
    template.hasResource(TABLE, {
      DeletionPolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        TimeToLiveSpecification: { AttributeName: 'x', Enabled: true },
        KeySchema: [Match.objectLike({ AttributeName: 'pk' }), Match.objectLike({ AttributeName: 'sk' })],
        GlobalSecondaryIndexes: [
          Match.objectLike({ IndexName: 'by-month', Projection: { ProjectionType: 'KEYS_ONLY' } }),
        ],
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      },
    });
  });

  test('takes every prop', () => {
    const stack = newStack();
    const ledger = new UsageLedger(stack, 'Ledger', {
      tableName: 'usage',
      retention: Duration.days(30),
      encryptionKey: new Key(stack, 'Key'),
      removalPolicy: RemovalPolicy.DESTROY,
    });
    ledger.grantUse(new Role(stack, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') }));
    const template = Template.fromStack(stack);
    template.hasResource(TABLE, {
      DeletionPolicy: 'Delete',
      Properties: { TableName: 'usage', SSESpecification: { SSEEnabled: true, SSEType: 'KMS' } },
    });
    expect(statements(template, 'kms:')).toHaveLength(1);
    expect(ledger.retention.toDays()).toBe(30);
  });

  test('refuses a retention out of range', () => {
    expect(() => new UsageLedger(newStack(), 'Ledger', { retention: Duration.days(4000) })).toThrow(
      /^retention must be/,
    );
  });

  test('lets a gateway do what it needs, and nothing to other tables', () => {
    const stack = newStack();
    new LlmServing(stack, 'Serving', { models: [anyModel(stack)] });
    const [statement, ...others] = statements(Template.fromStack(stack), 'dynamodb:');
    expect(others).toEqual([]);
    expect(statement).toMatchObject({
      Action: ['dynamodb:UpdateItem', 'dynamodb:PutItem', 'dynamodb:GetItem', 'dynamodb:Query'],
      Resource: { 'Fn::GetAtt': [expect.stringContaining('Ledger'), 'Arn'] },
    });
  });

  test('may be one that exists', () => {
    const { config, environment, template } = synthesize({}, (stack) => ({
      usageLedger: UsageLedger.fromUsageLedgerAttributes(stack, 'Ledger', {
        tableArn: 'arn:aws:dynamodb:eu-west-1:111122223333:table/usage',
      }),
    }));
    template.resourceCountIs(TABLE, 0);
    expect(environment.LLM_LEDGER_TABLE).toBe('usage');
    expect(config.ledger).toEqual({
      ...{ table: { env: 'LLM_LEDGER_TABLE' }, retentionDays: 400, timeoutMs: 1000 },
      // A minute longer than a request may take.
      reservationMs: config.limits.totalTimeoutMs + 60_000,
    });
  });
});

describe('limits', () => {
  const withLimits = () =>
    synthesize({}, (stack) => {
      const team = new Team({ teamName: 'search', monthlyBudgetUsd: 500 });
      const tier = new Tier(stack, 'Paid', {
        ...{ tokensPerMinute: 10_000, requestsPerMinute: 60, monthlyBudgetUsd: 20, budgetThresholds: [90] },
        onBudgetExceeded: BudgetAction.downgrade('chat'),
        ledgerUnavailable: LedgerUnavailable.ALLOW,
      });
      new Consumer(stack, 'Alice', { tier, team, monthlyBudgetUsd: 30 });
      new Consumer(stack, 'Bob', { tier });
      return { tiers: [tier], usageLedger: new UsageLedger(stack, 'Ledger') };
    });

  test('of tiers, consumers and teams reach the handler', () => {
    const { config } = withLimits();
    expect(config.tiers[0]?.limits).toEqual({
      ...{ tokensPerMinute: 10_000, requestsPerMinute: 60, monthlyBudgetUsd: 20, thresholds: [90] },
      ...{ onExceeded: 'downgrade', downgradeTo: 'chat', ledgerUnavailable: 'allow' },
    });
    expect(config.consumers).toEqual([{ name: 'alice', team: 'search', monthlyBudgetUsd: 30 }]);
    expect(config.teams).toEqual([{ name: 'search', monthlyBudgetUsd: 500 }]);
  });

  test.each<[string, (stack: Stack) => { tiers: Tier[] }, RegExp]>([
    [
      'a limit without a ledger',
      (stack) => ({ tiers: [new Tier(stack, 'T', { tokensPerMinute: 5 })] }),
      /tier "t" has tokensPerMinute, which nothing counts without a ledger/,
    ],
    [
      'a team without a ledger',
      (stack) => {
        const tier = new Tier(stack, 'T');
        new Consumer(stack, 'C', { tier, team: new Team({ teamName: 'x' }) });
        return { tiers: [tier] };
      },
      /consumer "c" has a team or a budget, which nothing counts without a ledger/,
    ],
    [
      'a downgrade to nothing',
      (stack) => ({ tiers: [new Tier(stack, 'T', { onBudgetExceeded: BudgetAction.downgrade('x') })] }),
      /tier "t" downgrades to model "x", which this gateway doesn't have/,
    ],
    [
      'two teams of one name',
      (stack) => {
        const tier = new Tier(stack, 'T');
        new Consumer(stack, 'C', { tier, team: new Team({ teamName: 'x' }) });
        new Consumer(stack, 'D', { tier, team: new Team({ teamName: 'x' }) });
        return { tiers: [tier] };
      },
      /two teams of one gateway have the name "x"/,
    ],
  ])('%s fails the synthesis', (_, prepare, message) => {
    expect(() => synthesize({}, prepare)).toThrow(message);
  });

  test.each([
    ['monthlyBudgetUsd', { monthlyBudgetUsd: 0 }],
    ['monthlyBudgetUsd', { monthlyBudgetUsd: 1e8 }],
    ['tokensPerMinute', { tokensPerMinute: 0.5 }],
    ['requestsPerMinute', { requestsPerMinute: 0 }],
    ['budgetThresholds', { budgetThresholds: [0] }],
    ['budgetThresholds', { budgetThresholds: [50, 50] }],
  ])('%s is checked: %j', (prop, props) => {
    expect(() => new Tier(newStack(), 'Tier', props)).toThrow(new RegExp(`^${prop} must`));
  });

  test('a team needs a name that can stand in an item', () => {
    expect(() => new Team({ teamName: 'a/b' })).toThrow(/^teamName must be/);
  });

  test('an app can be synthesized with them', () => {
    const app = new App();
    const stack = new Stack(app, 'Whole');
    const tier = new Tier(stack, 'Paid', { monthlyBudgetUsd: 1 });
    new LlmServing(stack, 'Serving', { models: [anyModel(stack)], tiers: [tier] });
    expect(() => app.synth()).not.toThrow();
  });
});
