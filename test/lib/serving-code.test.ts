import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, CfnOutput, NestedStack, Stack, Stage } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { Backend, Gateway, GatewayCompute, Model, Tier } from '../../lib';
import { anyModel, anyTier, newStack, read } from './fixture.ts';

function gatewayIn(stack: Stack, modelName = 'chat'): Gateway {
  return new Gateway(stack, 'Gateway', { models: [anyModel(stack, modelName)], tiers: [anyTier(stack)] });
}

/** Every asset that the manifests name, by path. */
function assets(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.assets.json'))
    .flatMap((name) =>
      Object.values<{ source: { path?: string } }>(JSON.parse(readFileSync(join(folder, name), 'utf8')).files),
    )
    .flatMap(({ source }) => source.path ?? []);
}

function servingConfigs(folder: string): string[] {
  return assets(folder).filter((path) => existsSync(join(folder, path, 'serving-config.json')));
}

describe("the handler's asset", () => {
  test('is the bundle with the config beside it, as the manifest says', () => {
    const stack = newStack();
    gatewayIn(stack);
    const { directory } = (stack.node.root as App).synth();
    const [path = '', ...others] = servingConfigs(directory);
    expect(others).toEqual([]);
    expect(readdirSync(join(directory, path))).toEqual(
      expect.arrayContaining([...readdirSync('assets/handlers/api'), 'serving-config.json']),
    );
    const [fn] = Object.values(Template.fromStack(stack).findResources('AWS::Lambda::Function'));
    expect(path).toBe(`asset.${fn?.Properties.Code.S3Key.replace('.zip', '')}`);
    expect(fn?.Metadata['aws:asset:path']).toBe(path);
  });

  test('holds what was added after the gateway was made', () => {
    const stack = newStack();
    const gateway = gatewayIn(stack);
    gateway.addModel(new Model(stack, 'Late', { backends: [Backend.staticReply('late')] }));
    gateway.addTier(new Tier(stack, 'Gold'));
    const { config } = read(stack, gateway);
    expect(config.models.map(({ name }) => name)).toEqual(['chat', 'late']);
    expect(config.tiers.map(({ name }) => name)).toEqual(['standard', 'gold']);
  });

  test('holds what was added after somebody had looked at the template', () => {
    const stack = newStack();
    const gateway = gatewayIn(stack);
    const early = stack.resolve((gateway.handler.node.defaultChild as unknown as { code: unknown }).code);
    gateway.addModel(new Model(stack, 'Late', { backends: [Backend.staticReply('late')] }));
    const { config, template } = read(stack, gateway);
    expect(config.models.map(({ name }) => name)).toEqual(['chat', 'late']);
    const [fn] = Object.values(template.findResources('AWS::Lambda::Function'));
    expect(fn?.Properties.Code.S3Key).not.toBe(early.s3Key);
  });

  test('is the same in every synthesis', () => {
    const keys = [1, 2].map(() => {
      const stack = newStack();
      gatewayIn(stack);
      const template = Template.fromStack(stack).toJSON();
      return JSON.stringify(template);
    });
    expect(keys[0]).toBe(keys[1]);
  });

  test('survives a second synthesis of the same app', () => {
    const stack = newStack();
    gatewayIn(stack);
    const app = stack.node.root as App;
    const first = app.synth().getStackByName('Test').template;
    const second = app.synth({ force: true });
    expect(second.getStackByName('Test').template).toEqual(first);
    expect(servingConfigs(second.directory)).toHaveLength(1);
  });

  test('changes with a model, and with it the version that is kept warm', () => {
    const versionOf = (modelName: string) => {
      const stack = newStack();
      new Gateway(stack, 'Gateway', {
        models: [anyModel(stack, modelName)],
        tiers: [anyTier(stack)],
        compute: GatewayCompute.lambda({ provisionedConcurrency: 1 }),
      });
      return Object.keys(Template.fromStack(stack).findResources('AWS::Lambda::Version'));
    };
    expect(versionOf('a')).toHaveLength(1);
    expect(versionOf('a')).toEqual(versionOf('a'));
    expect(versionOf('a')).not.toEqual(versionOf('b'));
  });

  test("of two stacks in one app is each one's own", () => {
    const app = new App();
    const stacks = ['One', 'Two'].map((id) => new Stack(app, id));
    for (const [index, stack] of stacks.entries()) gatewayIn(stack, `model-${index}`);
    const { directory } = app.synth();
    const names = servingConfigs(directory).map(
      (path) => JSON.parse(readFileSync(join(directory, path, 'serving-config.json'), 'utf8')).models[0].name,
    );
    expect(names.sort()).toEqual(['model-0', 'model-1']);
  });

  test('of a stage and of a nested stack is where their manifest says', () => {
    const app = new App();
    const stage = new Stage(app, 'Prod');
    const parent = new Stack(stage, 'Parent');
    const nested = new NestedStack(parent, 'Nested');
    gatewayIn(nested);
    const { directory } = app.synth().getNestedAssembly('assembly-Prod');
    expect(servingConfigs(directory)).toHaveLength(1);
  });

  test('is staged once when two apps synthesize into one folder', () => {
    const outdir = mkdtempSync(join(tmpdir(), 'serving-code-'));
    try {
      for (const id of ['Test', 'Test']) {
        const stack = new Stack(new App({ outdir }), id);
        gatewayIn(stack);
        (stack.node.root as App).synth();
      }
      expect(servingConfigs(outdir)).toHaveLength(1);
      expect(readdirSync(outdir).filter((name) => /\.\d+$/.test(name))).toEqual([]);
    } finally {
      rmSync(outdir, { recursive: true });
    }
  });

  test('has no token in it, and its stack none that is unresolved', () => {
    const stack = newStack();
    const gateway = new Gateway(stack, 'Gateway', {
      models: [
        new Model(stack, 'Chat', {
          backends: [
            Backend.openAiCompatible(`https://${stack.account}.example.com/v1`, {
              backendId: 'x',
              price: Backend.staticReply('free').price,
            }),
          ],
        }),
      ],
      tiers: [anyTier(stack)],
    });
    new CfnOutput(stack, 'Url', { value: gateway.url });
    const { config } = read(stack, gateway);
    expect(JSON.stringify(config)).not.toContain('${Token');
    expect(config.models[0]?.backends[0]).toMatchObject({ baseUrl: { env: 'LLM_X_URL' } });
  });
});
