import { Token } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { Backend, Consumer, type ConsumerProps, Gateway, Model, QuotaPeriod, Tier, type TierProps } from '../../lib';
import { anyModel, anyTier, newStack, read, synthesize } from './fixture.ts';

const TOKEN = Token.asNumber({ Ref: 'Number' });

describe('Tier', () => {
  test('is a usage plan of 10 requests a second for each consumer, without a quota', () => {
    const { template, config } = synthesize({}, (stack) => ({ tiers: [new Tier(stack, 'Free')] }));
    template.hasResourceProperties('AWS::ApiGateway::UsagePlan', {
      Throttle: { RateLimit: 10, BurstLimit: 20 },
      Quota: Match.absent(),
      ApiStages: [{ ApiId: Match.anyValue(), Stage: Match.anyValue() }],
    });
    expect(config.tiers).toEqual([{ name: 'free' }]);
  });

  test('takes every prop', () => {
    const { template, config } = synthesize({}, (stack) => ({
      tiers: [
        new Tier(stack, 'Gold', {
          tierName: 'gold.1',
          requestsPerSecond: 0.5,
          burst: 3,
          requestQuota: 1000,
          quotaPeriod: QuotaPeriod.DAY,
          allowedModels: ['chat'],
          maxOutputTokens: 50,
        }),
      ],
    }));
    template.hasResourceProperties('AWS::ApiGateway::UsagePlan', {
      Throttle: { RateLimit: 0.5, BurstLimit: 3 },
      Quota: { Limit: 1000, Period: 'DAY' },
    });
    expect(config.tiers).toEqual([{ name: 'gold.1', allowedModels: ['chat'], maxOutputTokens: 50 }]);
  });

  test.each([QuotaPeriod.DAY, QuotaPeriod.WEEK, QuotaPeriod.MONTH])('counts its quota by %s', (quotaPeriod) => {
    const { template } = synthesize({}, (stack) => ({
      tiers: [new Tier(stack, 'T', { requestQuota: 5, quotaPeriod })],
    }));
    template.hasResourceProperties('AWS::ApiGateway::UsagePlan', { Quota: { Limit: 5, Period: quotaPeriod } });
  });

  test('may allow a model by its alias', () => {
    const stack = newStack();
    const tier = new Tier(stack, 'T', { allowedModels: ['gpt-4o'] });
    const model = new Model(stack, 'Chat', { aliases: ['gpt-4o'], backends: [Backend.staticReply('x')] });
    const gateway = new Gateway(stack, 'Gateway', { models: [model], tiers: [tier] });
    expect(read(stack, gateway).config.tiers).toEqual([{ name: 't', allowedModels: ['chat'] }]);
  });

  test.each<[string, TierProps, RegExp]>([
    ['a name with a separator', { tierName: 'a:b' }, /^tierName must be .* got "a:b"/],
    ['an empty name', { tierName: '' }, /^tierName must be/],
    ['no requests', { requestsPerSecond: 0 }, /^requestsPerSecond must be/],
    ['no burst', { burst: 0 }, /^burst must be/],
    ['no quota', { requestQuota: 0 }, /^requestQuota must be/],
    ['a period without a quota', { quotaPeriod: QuotaPeriod.DAY }, /^quotaPeriod needs requestQuota/],
    ['no models', { allowedModels: [] }, /allows no model: name one in allowedModels, or leave it out/],
    ['a model twice', { allowedModels: ['a', 'a'] }, /^allowedModels must not repeat/],
    ['no output', { maxOutputTokens: 0 }, /^maxOutputTokens must be/],
    ['output that is a token', { maxOutputTokens: TOKEN }, /^maxOutputTokens must be known at synth/],
    ['a rate that is a token without a burst', { requestsPerSecond: TOKEN }, /^burst is needed when requestsPerSecond/],
  ])('refuses %s', (_, props, message) => {
    expect(() => new Tier(newStack(), 'T', props)).toThrow(message);
  });

  test('has metrics by its name', () => {
    expect(anyTier(newStack()).metricRequests()).toMatchObject({
      metricName: 'Requests',
      dimensions: { tier: 'standard' },
      statistic: 'Sum',
    });
  });

  test('says where a name came from that nobody gave', () => {
    const stack = newStack();
    expect(() => new Tier(stack, 'My tier')).toThrow(/got "my tier", the construct's id in lower case: pass tierName$/);
    expect(() => new Consumer(stack, 'My key', { tier: anyTier(stack) })).toThrow(
      /got "my key", the construct's id in lower case: pass consumerName$/,
    );
    expect(() => new Tier(stack, 'Other', { tierName: 'a b' })).toThrow(/got "a b"$/);
  });

  test('with consumers, but in no gateway, is warned of', () => {
    const stack = newStack();
    new Consumer(stack, 'C', { tier: anyTier(stack) });
    new Tier(stack, 'Empty');
    Annotations.fromStack(stack).hasWarning(
      '/Test/Tier-standard',
      Match.stringLikeRegexp('^tier "standard" has consumers and is in no gateway, .* or call addTier'),
    );
    Annotations.fromStack(stack).hasNoWarning('/Test/Empty', Match.anyValue());
    Annotations.fromStack(synthesize().stack).hasNoWarning('*', Match.anyValue());
  });

  test('two of one name in a gateway are an error', () => {
    expect(() => synthesize({}, (stack) => ({ tiers: [anyTier(stack), new Tier(stack, 'Standard')] }))).toThrow(
      /^two tiers of one gateway have the name "standard"/,
    );
  });
});

describe('Consumer', () => {
  test('is an API key in its tier, whose value stands nowhere', () => {
    const { template } = synthesize();
    template.hasResourceProperties('AWS::ApiGateway::ApiKey', {
      Enabled: true,
      Value: Match.absent(),
      Description: 'Consumer alice, tier standard',
    });
    template.hasResourceProperties('AWS::ApiGateway::UsagePlanKey', {
      KeyType: 'API_KEY',
      KeyId: { Ref: Match.stringLikeRegexp('^Consumer') },
    });
  });

  test('takes every prop', () => {
    const { template, environment } = synthesize({}, (stack) => {
      const tier = anyTier(stack);
      new Consumer(stack, 'Bob', { tier, consumerName: 'bob_1', description: 'Bob', enabled: false });
      return { tiers: [tier] };
    });
    template.hasResourceProperties('AWS::ApiGateway::ApiKey', {
      Enabled: false,
      Description: 'Bob',
      Tags: [{ Key: 'llm-serving:consumer', Value: 'bob_1' }],
    });
    expect(JSON.stringify(environment.LLM_CONSUMERS)).toContain('=bob_1:standard');
  });

  test('may have a key that exists already', () => {
    const { template, environment } = synthesize({}, (stack) => {
      const tier = anyTier(stack);
      Consumer.fromApiKeyAttributes(stack, 'Carol', { tier, apiKeyId: 'abc1234567' });
      return { tiers: [tier] };
    });
    template.resourceCountIs('AWS::ApiGateway::ApiKey', 0);
    template.hasResourceProperties('AWS::ApiGateway::UsagePlanKey', { KeyId: 'abc1234567' });
    expect(environment.LLM_CONSUMERS).toBe('abc1234567=carol:standard');
  });

  test('may be declared after the gateway', () => {
    const stack = newStack();
    const tier = anyTier(stack);
    const gateway = new Gateway(stack, 'Gateway', { models: [anyModel(stack)], tiers: [tier] });
    new Consumer(stack, 'Late', { tier });
    expect(JSON.stringify(read(stack, gateway).environment.LLM_CONSUMERS)).toContain('=late:standard');
  });

  test.each<[string, Omit<ConsumerProps, 'tier'>, RegExp]>([
    ['a name with an equals sign', { consumerName: 'a=b' }, /^consumerName must be .* got "a=b"/],
    ['a name with a comma', { consumerName: 'a,b' }, /^consumerName must be/],
    ['a name that is too long', { consumerName: 'x'.repeat(65) }, /^consumerName must be/],
  ])('refuses %s', (_, props, message) => {
    const stack = newStack();
    expect(() => new Consumer(stack, 'C', { tier: anyTier(stack), ...props })).toThrow(message);
  });

  test('two of one name in a gateway are an error', () => {
    expect(() =>
      synthesize({}, (stack) => {
        const tiers = [anyTier(stack, 'a'), anyTier(stack, 'b')];
        for (const tier of tiers) new Consumer(tier, 'C', { tier });
        return { tiers };
      }),
    ).toThrow(/two consumers of one gateway have the name "c"/);
  });

  test('two with one key in a gateway are an error', () => {
    expect(() =>
      synthesize({}, (stack) => {
        const tiers = [anyTier(stack, 'a'), anyTier(stack, 'b')];
        for (const tier of tiers) {
          Consumer.fromApiKeyAttributes(tier, 'C', {
            tier,
            consumerName: `c-${tier.tierName}`,
            apiKeyId: 'abc1234567',
          });
        }
        return { tiers };
      }),
    ).toThrow(/two consumers of one gateway have the API key "abc1234567"/);
  });

  test('as many as fit the environment of a function are taken, one more is an error with the remedy', () => {
    const withConsumers = (count: number) =>
      synthesize({}, (stack) => {
        const tier = anyTier(stack);
        for (let i = 0; i < count; i++) new Consumer(stack, `C${i}`, { tier, consumerName: `consumer-${1000 + i}` });
        return { tiers: [tier] };
      });
    // '<10>=consumer-1000:standard,' is 34 bytes; 'LLM_CONSUMERS' is 13; 4096 in all.
    expect(() => withConsumers(120)).not.toThrow();
    expect(() => withConsumers(121)).toThrow(
      /environment variables would take about 41\d\d bytes, and Lambda allows 4096: shorten the names .* or spread/,
    );
  });
});
