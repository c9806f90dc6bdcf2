import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { Gateway, SavedQueries } from '../../lib';
import { anyModel, anyTier, newStack } from './fixture.ts';

function queries(topConsumers?: boolean): Template {
  const stack = newStack();
  const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], tiers: [anyTier(stack)] });
  new SavedQueries(stack, 'Queries', { gateway, topConsumers });
  return Template.fromStack(stack);
}

describe('saved queries', () => {
  test.each([
    [
      'Top users',
      /^filter message = "chat completion"\n\| stats sum\(CostUsd\) .* by consumer, user, feature_name\n\| sort usd desc\n\| limit 50$/,
    ],
    [
      'Dearest requests',
      /^fields @timestamp, CostUsd, .*request_id\n\| filter message = "chat completion"\n\| sort CostUsd desc/,
    ],
    ['Slowest requests', /\| sort Duration desc/],
    ['Failovers', /^filter message = "backend failed"\n\| stats count\(\*\)/],
  ])('"%s" asks the log of the handler', (name, query) => {
    queries().hasResourceProperties('AWS::Logs::QueryDefinition', {
      Name: `LlmServing/Test-Gateway/${name}`,
      QueryString: Match.stringLikeRegexp(query.source),
      LogGroupNames: [{ Ref: Match.stringLikeRegexp('^GatewayHandlerLogs') }],
    });
  });

  test('count top consumers only when asked to, for that costs something', () => {
    queries().resourceCountIs('AWS::CloudWatch::InsightRule', 0);
    const [rule] = Object.values(queries(true).findResources('AWS::CloudWatch::InsightRule'));
    const body = JSON.stringify(rule?.Properties.RuleBody);
    expect(body).toContain('\\"Keys\\":[\\"$.consumer\\"],\\"ValueOf\\":\\"$.CostUsd\\"');
  });
});
