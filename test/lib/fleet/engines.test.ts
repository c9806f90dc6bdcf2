import { spawnSync } from 'node:child_process';
import { Duration, Size } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, test } from 'vitest';
import { GpuCapacity, type IServingEngine, KvOffloading, ModelWeights, ServingEngine } from '../../../lib';
import { newStack } from '../fixture.ts';
import { environmentOf, fleetIn, fleetTemplate, QWEN, scraped } from './fixture.ts';

function withS3(engine: IServingEngine) {
  const stack = newStack();
  const weights = ModelWeights.s3(Bucket.fromBucketName(stack, 'Weights', 'weights'), '/models/mine/');
  const fleet = fleetIn(stack, { engine, weights });
  const containers = stack.resolve(
    (fleet.taskDefinition.node.defaultChild as unknown as { containerDefinitions: unknown }).containerDefinitions,
  ) as Array<Record<string, unknown>>;
  return Object.fromEntries(containers.map((container) => [container.name, container]));
}

describe('vLLM', () => {
  test('runs with this command line', () => {
    const { engine } = fleetTemplate({ engine: ServingEngine.vllm() });
    expect(engine.EntryPoint).toBeUndefined();
    expect(engine.Command?.join(' ')).toBe(
      'Qwen/Qwen3-8B --host 0.0.0.0 --port 8000 --served-model-name Qwen/Qwen3-8B --tensor-parallel-size 1' +
        ' --max-num-queued-reqs 128 --scheduling-policy priority --enable-prompt-tokens-details' +
        ' --enable-request-id-headers --disable-uvicorn-access-log --shutdown-timeout 100',
    );
    expect(engine.Image).toMatch(/^vllm\/vllm-openai:v[\d.]+$/);
  });

  test('takes every option', () => {
    const { engine, container } = fleetTemplate({
      modelName: 'qwen',
      weights: ModelWeights.huggingFace('Qwen/Qwen3-8B', { revision: 'abc' }),
      engine: ServingEngine.vllm({
        contextLength: 8192,
        quantization: 'fp8',
        kvCacheDtype: 'fp8',
        gpuMemoryUtilization: 0.9,
        maxSequences: 32,
        maxQueuedRequests: 64,
        maxQueuedTokens: 9000,
        priorityScheduling: false,
        toolCallParser: 'hermes',
        reasoningParser: 'qwen3',
        speculativeConfig: '{"method":"ngram","num_speculative_tokens":4}',
        kvOffloadingSize: Size.gibibytes(16),
        kvOffloadingBackend: KvOffloading.LMCACHE,
        lmCacheRemoteUrl: 'rediss://cache:6379',
        shutdownTimeout: Duration.seconds(60),
        args: ['--async-scheduling'],
        environment: { VLLM_LOGGING_LEVEL: 'WARNING' },
      }),
    });
    expect(engine.Command?.join(' ')).toBe(
      'Qwen/Qwen3-8B --host 0.0.0.0 --port 8000 --served-model-name qwen --revision abc --tensor-parallel-size 1' +
        ' --max-model-len 8192 --gpu-memory-utilization 0.9 --quantization fp8 --kv-cache-dtype fp8 --max-num-seqs 32' +
        ' --max-num-queued-reqs 64 --max-num-queued-tokens 9000 --enable-auto-tool-choice --tool-call-parser hermes' +
        ' --reasoning-parser qwen3 --speculative-config {"method":"ngram","num_speculative_tokens":4}' +
        ' --kv-offloading-size 16 --kv-offloading-backend lmcache' +
        ' --kv-transfer-config {"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}' +
        ' --enable-prompt-tokens-details --enable-request-id-headers --disable-uvicorn-access-log' +
        ' --shutdown-timeout 60 --async-scheduling',
    );
    expect(environmentOf(engine)).toEqual({
      HF_HOME: '/model-cache/huggingface',
      VLLM_NO_USAGE_STATS: '1',
      VLLM_HTTP_TIMEOUT_KEEP_ALIVE: '960',
      LMCACHE_LOCAL_CPU: 'True',
      LMCACHE_MAX_LOCAL_CPU_SIZE: '16',
      LMCACHE_REMOTE_URL: 'rediss://cache:6379',
      PYTHONHASHSEED: '0',
      VLLM_LOGGING_LEVEL: 'WARNING',
    });
    expect(engine.StopTimeout).toBe(70);
    expect(scraped(container('MetricsAgent'))).toEqual({
      target: 'localhost:8000',
      labels: { fleet: 'chat' },
      path: '/metrics',
      names: [
        'vllm:num_requests_running',
        'vllm:num_requests_waiting',
        'vllm:kv_cache_usage_perc',
        'vllm:prefix_cache_queries_total',
        'vllm:prefix_cache_hits_total',
      ],
    });
  });

  test('streams weights out of a bucket', () => {
    const { Engine, Weights } = withS3(ServingEngine.vllm());
    expect(Engine?.command).toEqual(
      expect.arrayContaining([
        's3://weights/models/mine',
        '--load-format',
        'runai_streamer',
        '--served-model-name',
        'mine',
      ]),
    );
    expect(Weights).toBeUndefined();
    // Without it the streamer asks S3's global endpoint, which no VPC endpoint leads to.
    expect(Engine?.environment).toContainEqual({ name: 'AWS_REGION', value: { Ref: 'AWS::Region' } });
  });

  test('gives each of its processes their part of the memory for offloading', () => {
    const { engine } = fleetTemplate({
      engine: ServingEngine.vllm({
        tensorParallelSize: 4,
        kvOffloadingSize: Size.gibibytes(64),
        kvOffloadingBackend: KvOffloading.LMCACHE,
      }),
      capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.12xlarge')] }),
    });
    expect(engine.Command).toEqual(expect.arrayContaining(['--kv-offloading-size', '64']));
    expect(environmentOf(engine).LMCACHE_MAX_LOCAL_CPU_SIZE).toBe('16');
  });

  test('takes the token of Hugging Face out of a field of a secret', () => {
    const stack = newStack();
    const token = Secret.fromSecretNameV2(stack, 'Token', 'hf');
    const weights = ModelWeights.huggingFace('Qwen/Qwen3-8B', { token, tokenField: 'token' });
    const fleet = fleetIn(stack, { weights });
    const [engine] = stack.resolve(
      (fleet.taskDefinition.node.defaultChild as unknown as { containerDefinitions: unknown }).containerDefinitions,
    );
    expect(JSON.stringify(engine.secrets.at(-1))).toMatch(/HF_TOKEN.*:secret:hf.*:token::/);
  });

  test('keeps its key and the token of Hugging Face out of the template', () => {
    const stack = newStack();
    const token = Secret.fromSecretNameV2(stack, 'Token', 'hf');
    const fleet = fleetIn(stack, { weights: ModelWeights.huggingFace('Qwen/Qwen3-8B', { token }) });
    const [engine] = stack.resolve(
      (fleet.taskDefinition.node.defaultChild as unknown as { containerDefinitions: unknown }).containerDefinitions,
    );
    expect(engine.secrets.map(({ name }: { name: string }) => name)).toEqual(['VLLM_API_KEY', 'HF_TOKEN']);
    expect(JSON.stringify(engine.environment)).not.toMatch(/KEY"|TOKEN/);
  });
});

describe('an engine runs as', () => {
  const managed = { capacity: GpuCapacity.managedInstances({ instanceTypes: [new InstanceType('g6e.xlarge')] }) };
  const mine = ContainerImage.fromRegistry('example.com/mine:1');

  test.each<[string, Parameters<typeof fleetTemplate>[0], string | undefined]>([
    ['the user that vLLM has in its image', { engine: ServingEngine.vllm() }, '2000:0'],
    ["another image's own", { engine: ServingEngine.vllm({ image: mine }) }, undefined],
    ['the one that is named', { engine: ServingEngine.vllm({ image: mine, user: '1000' }) }, '1000'],
    ['root where folders are made by ECS', { engine: ServingEngine.vllm(), ...managed }, undefined],
    ['root where the image needs it', { engine: ServingEngine.tgi() }, undefined],
    [
      'the one of any container',
      { engine: ServingEngine.openAiCompatible({ image: mine, port: 1, user: 'me' }) },
      'me',
    ],
  ])('%s', (_, props, user) => {
    expect(fleetTemplate(props).engine.User).toBe(user);
  });

  test('with a cache that its group may write', () => {
    const { template } = fleetTemplate();
    expect(JSON.stringify(template.findResources('AWS::EC2::LaunchTemplate'))).toMatch(
      /mount \$disk \/var\/[\w/-]+; fi\\\\nchmod g\+rwxs |mount \$disk [^;]+; fi\\nchmod g\+rwxs /,
    );
  });
});

describe('SGLang', () => {
  test('runs with this command line, the key put in by the shell', () => {
    const { engine, container } = fleetTemplate({
      engine: ServingEngine.sglang({ contextLength: 8192, memoryFraction: 0.8, toolCallParser: 'qwen25' }),
    });
    expect(engine.EntryPoint?.slice(0, 2)).toEqual(['/bin/bash', '-c']);
    expect(engine.EntryPoint?.[2]).toContain('exec "$@" --api-key "$SGLANG_FLEET_API_KEY"');
    expect(engine.Command?.join(' ')).toBe(
      'python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --served-model-name Qwen/Qwen3-8B --host 0.0.0.0' +
        ' --port 30000 --tp 1 --context-length 8192 --mem-fraction-static 0.8 --max-queued-requests 64' +
        ' --enable-priority-scheduling --tool-call-parser qwen25 --enable-metrics --enable-cache-report' +
        ' --log-level-http warning',
    );
    expect(engine.Secrets?.map(({ Name }) => Name)).toEqual(['SGLANG_FLEET_API_KEY']);
    expect(scraped(container('MetricsAgent'))).toMatchObject({
      target: 'localhost:30000',
      names: ['sglang:num_running_reqs', 'sglang:num_queue_reqs', 'sglang:token_usage'],
    });
  });

  test('finds weights of a bucket on its disk, once they are copied', () => {
    const { Engine, Weights } = withS3(ServingEngine.sglang());
    expect(Engine?.command).toEqual(
      expect.arrayContaining(['--model-path', '/model-cache/weights/weights/models/mine']),
    );
    expect(Engine?.dependsOn).toEqual([{ containerName: 'Weights', condition: 'SUCCESS' }]);
    expect(Weights).toMatchObject({
      command: [
        's3',
        'sync',
        '--only-show-errors',
        '--exact-timestamps',
        's3://weights/models/mine',
        '/model-cache/weights/weights/models/mine',
      ],
      environment: [{ name: 'AWS_REGION', value: { Ref: 'AWS::Region' } }],
      essential: false,
      readonlyRootFilesystem: true,
    });
  });

  test('writes its key into no log: it prints its arguments at the start', () => {
    const { engine } = fleetTemplate({ engine: ServingEngine.sglang() });
    const [shell = '', ...words] = engine.EntryPoint ?? [];
    const engineLike = `console.log('api_key=' + process.argv.at(-1)); console.error(process.argv.join(' ')); process.exit(7)`;
    const { stdout, stderr, status } = spawnSync(shell, [...words, process.execPath, '-e', engineLike, '--'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, SGLANG_FLEET_API_KEY: 'Sentinel123' },
    });
    expect(stdout).toMatch(/^api_key=\*\*\*$/m);
    expect(stdout).toMatch(/--api-key \*\*\*$/m);
    expect(stdout + stderr).not.toContain('Sentinel123');
    expect(status).toBe(7);
  });

  test('keeps consumers apart in its cache', () => {
    const { fleet } = fleetTemplate({ engine: ServingEngine.sglang() });
    expect(fleet._engine.fields.cacheSalt).toBe(true);
  });

  test('has health checks that may take the time of a token', () => {
    fleetTemplate({ engine: ServingEngine.sglang() }).template.hasResourceProperties(
      'AWS::ElasticLoadBalancingV2::TargetGroup',
      { Port: 30000, HealthCheckTimeoutSeconds: 20, HealthCheckIntervalSeconds: 25, HealthCheckPath: '/health' },
    );
  });
});

test('TensorRT-LLM runs with this command line, without a key and metrics of known names', () => {
  const { engine, containers, fleet } = fleetTemplate({
    engine: ServingEngine.tensorRtLlm({ contextLength: 8192, maxSequences: 16, kvCacheMemoryFraction: 0.85 }),
  });
  expect(engine.Command?.join(' ')).toBe(
    'trtllm-serve Qwen/Qwen3-8B --host 0.0.0.0 --port 8000 --tp_size 1 --max_seq_len 8192 --max_batch_size 16' +
      ' --kv_cache_free_gpu_memory_fraction 0.85',
  );
  expect(engine.Secrets).toBeUndefined();
  expect(fleet.apiKey).toBeUndefined();
  expect(containers).toHaveLength(1);
  expect(() => fleet.metricRunning()).toThrow(/metrics of engine "tensorrt-llm" aren't known/);
});

test('TGI runs with this command line', () => {
  const { engine, container } = fleetTemplate({
    engine: ServingEngine.tgi({ contextLength: 8192, quantization: 'fp8' }),
  });
  expect(engine.Command?.join(' ')).toBe(
    '--model-id Qwen/Qwen3-8B --hostname 0.0.0.0 --port 80 --num-shard 1 --max-total-tokens 8192' +
      ' --max-concurrent-requests 128 --quantize fp8 --json-output',
  );
  expect(engine.Secrets?.map(({ Name }) => Name)).toEqual(['API_KEY']);
  expect(environmentOf(engine)).toMatchObject({ USAGE_STATS: 'off' });
  expect(scraped(container('MetricsAgent'))).toMatchObject({
    target: 'localhost:80',
    names: ['tgi_batch_current_size', 'tgi_queue_size'],
  });
});

const IMAGE = ContainerImage.fromRegistry('example.com/mine:1');

test('any other container runs as it is told', () => {
  const { engine, container, template } = fleetTemplate({
    engine: ServingEngine.openAiCompatible({
      image: IMAGE,
      engineName: 'mine',
      command: ['serve', '{model}', '--name={name}'],
      port: 9000,
      healthPath: '/ready',
      metrics: { path: '/stats', running: 'a', waiting: 'b' },
      apiKeyVariable: 'KEY',
      environment: { A: 'b' },
    }),
    modelName: 'm',
  });
  expect(engine).toMatchObject({
    Image: 'example.com/mine:1',
    Command: ['serve', 'Qwen/Qwen3-8B', '--name=m'],
    PortMappings: [{ ContainerPort: 9000, Protocol: 'tcp' }],
    Secrets: [{ Name: 'KEY' }],
  });
  expect(scraped(container('MetricsAgent'))).toMatchObject({ path: '/stats', names: ['a', 'b'] });
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', { Port: 9000, HealthCheckPath: '/ready' });
});

test('several GPUs of a task share 8 GiB of memory', () => {
  const { engine } = fleetTemplate({
    engine: ServingEngine.vllm({ tensorParallelSize: 4 }),
    capacity: GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.12xlarge')] }),
  });
  expect(engine).toMatchObject({
    ResourceRequirements: [{ Type: 'GPU', Value: '4' }],
    LinuxParameters: { SharedMemorySize: 8192, InitProcessEnabled: true },
    DockerSecurityOptions: ['no-new-privileges'],
  });
  expect(engine.Privileged).not.toBe(true);
});

test.each<[string, () => unknown, RegExp]>([
  ['a context of nothing', () => ServingEngine.vllm({ contextLength: 0 }), /^contextLength must be a whole number/],
  ['half a GPU', () => ServingEngine.vllm({ tensorParallelSize: 0.5 }), /^tensorParallelSize must be a whole number/],
  ['all of the memory', () => ServingEngine.vllm({ gpuMemoryUtilization: 1 }), /^gpuMemoryUtilization must be/],
  ['a queue of nothing', () => ServingEngine.vllm({ maxQueuedRequests: 0 }), /^maxQueuedRequests must be/],
  [
    'a queue shorter than what runs',
    () => ServingEngine.vllm({ maxSequences: 32, maxQueuedRequests: 8 }),
    /^maxQueuedRequests \(8\) must not be less than maxSequences \(32\)/,
  ],
  ['a KV cache of int4', () => ServingEngine.vllm({ kvCacheDtype: 'int4' }), /^kvCacheDtype must be auto, fp8/],
  [
    'what is no JSON',
    () => ServingEngine.vllm({ speculativeConfig: 'ngram' }),
    /^speculativeConfig must be a JSON object/,
  ],
  [
    'a shutdown beyond what ECS waits',
    () => ServingEngine.vllm({ shutdownTimeout: Duration.minutes(3) }),
    /^shutdownTimeout must be between/,
  ],
  [
    'offloading of no size',
    () => ServingEngine.vllm({ kvOffloadingBackend: KvOffloading.LMCACHE }),
    /^kvOffloadingBackend needs kvOffloadingSize/,
  ],
  [
    "a remote store of vLLM's own offloading",
    () => ServingEngine.vllm({ kvOffloadingSize: Size.gibibytes(1), lmCacheRemoteUrl: 'redis://x' }),
    /^lmCacheRemoteUrl needs kvOffloadingBackend: KvOffloading.LMCACHE/,
  ],
  [
    'a remote store of another kind',
    () =>
      ServingEngine.vllm({
        kvOffloadingSize: Size.gibibytes(1),
        kvOffloadingBackend: KvOffloading.LMCACHE,
        lmCacheRemoteUrl: 'http://x',
      }),
    /^lmCacheRemoteUrl must begin with redis:/,
  ],
  [
    'a password in the template',
    () =>
      ServingEngine.vllm({
        kvOffloadingSize: Size.gibibytes(1),
        kvOffloadingBackend: KvOffloading.LMCACHE,
        lmCacheRemoteUrl: 'rediss://:secret@x:6379',
      }),
    /^lmCacheRemoteUrl must not hold a user or password/,
  ],
  [
    'offloading of what is not kept',
    () => ServingEngine.vllm({ prefixCaching: false, kvOffloadingSize: Size.gibibytes(1) }),
    /^kvOffloadingSize needs prefixCaching/,
  ],
  ['a flag that is an option', () => ServingEngine.vllm({ args: ['--max-model-len', '9'] }), /use contextLength$/],
  [
    'a flag with its value',
    () => ServingEngine.vllm({ args: ['--api-key=secret'] }),
    /must not hold "--api-key": the fleet/,
  ],
  ['answers in the log', () => ServingEngine.vllm({ args: ['--enable-log-outputs'] }), /answers would end in the log$/],
  ['a secret in plain text', () => ServingEngine.vllm({ environment: { HF_TOKEN: 'x' } }), /must not hold "HF_TOKEN"/],
  ['a variable of no name', () => ServingEngine.vllm({ environment: { 'a b': 'x' } }), /no name of a variable/],
  ['a user with a space', () => ServingEngine.vllm({ user: 'a b' }), /^user must be a name or an id/],
  ['fp8 of no kind', () => ServingEngine.sglang({ kvCacheDtype: 'fp8' }), /^kvCacheDtype must be auto, fp8_e4m3 or/],
  ['prompts in the log', () => ServingEngine.sglang({ args: ['--log-requests'] }), /prompts would end in the log$/],
  [
    'a fraction above 1',
    () => ServingEngine.tensorRtLlm({ kvCacheMemoryFraction: 2 }),
    /^kvCacheMemoryFraction must be/,
  ],
  ['no concurrency', () => ServingEngine.tgi({ maxConcurrentRequests: 0 }), /^maxConcurrentRequests must be/],
  ['no port', () => ServingEngine.openAiCompatible({ image: IMAGE, port: 0 }), /^port must be/],
  [
    'a path without a slash',
    () => ServingEngine.openAiCompatible({ image: IMAGE, port: 1, healthPath: 'health' }),
    /^healthPath must begin with "\/"/,
  ],
  [
    'a name with a space',
    () => ServingEngine.openAiCompatible({ image: IMAGE, port: 1, engineName: 'a b' }),
    /^engineName must be/,
  ],
  ['a repository without an owner', () => ModelWeights.huggingFace('qwen'), /must be owner and name/],
  ['a revision with a space', () => ModelWeights.huggingFace('a/b', { revision: 'x y' }), /^revision must be/],
  [
    'a model of no size',
    () => ModelWeights.huggingFace('a/b', { size: { parametersBillions: 0 } }),
    /^parametersBillions must be/,
  ],
  [
    'the whole bucket',
    () => ModelWeights.s3(Bucket.fromBucketName(newStack(), 'B', 'bbb'), '/'),
    /^prefix must be a folder of the bucket/,
  ],
  [
    'a folder above the folder',
    () => ModelWeights.s3(Bucket.fromBucketName(newStack(), 'B', 'bbb'), 'models/../other'),
    /^prefix must be a folder of the bucket.*got "models\/..\/other"/,
  ],
  [
    'a field of no secret',
    () => ModelWeights.huggingFace('a/b', { tokenField: 'token' }),
    /^tokenField needs token: the secret that has it/,
  ],
  [
    'weights of no bits',
    () => ModelWeights.huggingFace('a/b', { size: { parametersBillions: 8, bitsPerParameter: 0 } }),
    /^bitsPerParameter must be/,
  ],
])('refuses %s', (_, make, message) => {
  expect(make).toThrow(message);
});

test('TensorRT-LLM refuses a revision, for which it has no flag', () => {
  const weights = ModelWeights.huggingFace('Qwen/Qwen3-8B', { revision: 'abc' });
  expect(() => fleetTemplate({ engine: ServingEngine.tensorRtLlm(), weights })).toThrow(
    /^revision of the weights has no flag/,
  );
});

test('weights of a bucket may be read, and nothing beside them', () => {
  const stack = newStack();
  const weights = ModelWeights.s3(Bucket.fromBucketName(stack, 'Weights', 'weights'), 'models/mine');
  const fleet = fleetIn(stack, { weights });
  const statements = stack.resolve(
    (fleet.taskDefinition.taskRole.node.findChild('DefaultPolicy') as unknown as { document: unknown }).document,
  ).Statement as Array<{ Action: string; Condition?: unknown }>;
  expect(statements.filter(({ Action }) => String(Action).startsWith('s3:'))).toMatchObject([
    { Action: 's3:GetObject', Resource: { 'Fn::Join': ['', expect.arrayContaining([':s3:::weights/models/mine/*'])] } },
    { Action: 's3:ListBucket', Condition: { StringLike: { 's3:prefix': ['models/mine', 'models/mine/*'] } } },
  ]);
});

test('the model is called by its repository, unless told otherwise', () => {
  expect(fleetTemplate().fleet.modelName).toBe('Qwen/Qwen3-8B');
  expect(fleetTemplate({ weights: QWEN, modelName: 'x' }).fleet.modelName).toBe('x');
});
