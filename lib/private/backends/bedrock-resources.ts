import { Aws, Token } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';

/**
 * Where the inference profiles of a geography may send a request. Each profile uses some of its geography's regions, by
 * model and by the caller's region; here are all, for the permission is bound to the one profile anyway.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
 */
const GEOGRAPHIES: Readonly<Record<string, readonly string[]>> = {
  us: ['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2'],
  'us-gov': ['us-gov-east-1', 'us-gov-west-1'],
  ca: ['ca-central-1', 'ca-west-1'],
  eu: ['eu-central-1', 'eu-central-2', 'eu-north-1', 'eu-south-1', 'eu-south-2', 'eu-west-1', 'eu-west-2', 'eu-west-3'],
  apac: [
    'ap-northeast-1',
    'ap-northeast-2',
    'ap-northeast-3',
    'ap-south-1',
    'ap-south-2',
    'ap-southeast-1',
    'ap-southeast-2',
    'ap-southeast-3',
    'ap-southeast-4',
    'ap-southeast-5',
    'ap-southeast-7',
    'ap-east-2',
  ],
  jp: ['ap-northeast-1', 'ap-northeast-3'],
  au: ['ap-southeast-2', 'ap-southeast-4'],
};

const INVOKE = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream'];

/** What a model id stands for. */
export interface BedrockTarget {
  readonly kind: 'foundation-model' | 'inference-profile' | 'other';
  /** The geography of a system-defined inference profile: `us`, `global`, … */
  readonly geography?: string;
  /** Absent where only the user can know it. */
  readonly foundationModelId?: string;
}

/**
 * `us.amazon.nova-lite-v1:0`: a geography before the provider. Geographies are two letters or one of these words, which
 * no provider is; a second dot alone shows nothing (`zai.glm-4.7`).
 */
const PROFILE_ID = /^([a-z]{2}|us-gov|apac|global)\.([a-z0-9-]+\..+)$/;

export function targetOf(modelId: string): BedrockTarget {
  if (Token.isUnresolved(modelId)) return { kind: 'other' };
  if (!modelId.startsWith('arn:')) {
    const profile = PROFILE_ID.exec(modelId);
    if (profile === null) return { kind: 'foundation-model', foundationModelId: modelId };
    return { kind: 'inference-profile', geography: profile[1], foundationModelId: profile[2] };
  }
  // arn:<partition>:bedrock:<region>:<account>:<type>/<id>; a token in it makes split() unreliable, slicing is enough.
  const resource = /:(foundation-model|inference-profile|application-inference-profile|[a-z-]+)\/([^/]+)$/.exec(
    modelId,
  );
  if (resource === null) throw new Error(`modelId must be an id or an ARN of Bedrock, got "${modelId}"`);
  const [, type, id = ''] = resource;
  if (type === 'foundation-model') return { kind: 'foundation-model', foundationModelId: id };
  if (type === 'inference-profile') return { ...targetOf(id), kind: 'inference-profile' };
  return { kind: type === 'application-inference-profile' ? 'inference-profile' : 'other' };
}

export interface InvokeProps {
  readonly modelId: string;
  readonly target: BedrockTarget;
  /** Set when the call goes to another region than the stack's. */
  readonly region?: string;
  readonly foundationModelId?: string;
  readonly profileRegions?: readonly string[];
}

/** Exactly the model; for an inference profile the profile, and the model behind it through this profile only. */
export function invokeStatements(props: InvokeProps): PolicyStatement[] {
  const { modelId, target } = props;
  const region = props.region ?? Aws.REGION;
  const isArn = Token.isUnresolved(modelId) || modelId.startsWith('arn:');
  if (target.kind === 'foundation-model') {
    const arn = isArn ? modelId : foundationModelArn(region, modelId);
    return [new PolicyStatement({ actions: INVOKE, resources: [arn] })];
  }
  if (target.kind === 'other' && props.foundationModelId === undefined) {
    return [new PolicyStatement({ actions: INVOKE, resources: [modelId] })];
  }
  const profileArn = isArn
    ? modelId
    : `arn:${Aws.PARTITION}:bedrock:${region}:${Aws.ACCOUNT_ID}:inference-profile/${modelId}`;
  const foundationModelId = props.foundationModelId ?? target.foundationModelId;
  if (foundationModelId === undefined) {
    throw new Error(
      `the foundation model behind "${modelId}" can't be told from its ARN: pass foundationModelId, and profileRegions if it is a cross-region profile`,
    );
  }
  return [
    new PolicyStatement({ actions: INVOKE, resources: [profileArn] }),
    new PolicyStatement({
      actions: INVOKE,
      resources: destinationRegions(props, region).map((to) => foundationModelArn(to, foundationModelId)),
      conditions: { StringEquals: { 'bedrock:InferenceProfileArn': profileArn } },
    }),
  ];
}

function destinationRegions(props: InvokeProps, sourceRegion: string): string[] {
  const { geography } = props.target;
  if (props.profileRegions !== undefined) return [...new Set([sourceRegion, ...props.profileRegions])];
  if (geography === undefined) return [sourceRegion];
  // A global profile asks for the model's ARN without a region.
  if (geography === 'global') return [sourceRegion, ''];
  const regions = GEOGRAPHIES[geography];
  if (regions === undefined) {
    throw new Error(
      `the regions of the inference profile "${props.modelId}" are not known here (geographies: ${Object.keys(GEOGRAPHIES).join(', ')}, global): pass profileRegions`,
    );
  }
  return [...new Set([sourceRegion, ...regions])];
}

function foundationModelArn(region: string, foundationModelId: string): string {
  return `arn:${Aws.PARTITION}:bedrock:${region}::foundation-model/${foundationModelId}`;
}

export function guardrailStatement(guardrailId: string, region: string | undefined): PolicyStatement {
  // A token doesn't show which of both it is: the docs ask for the ARN.
  const isArn = Token.isUnresolved(guardrailId) || guardrailId.startsWith('arn:');
  return new PolicyStatement({
    actions: ['bedrock:ApplyGuardrail'],
    resources: [
      isArn
        ? guardrailId
        : `arn:${Aws.PARTITION}:bedrock:${region ?? Aws.REGION}:${Aws.ACCOUNT_ID}:guardrail/${guardrailId}`,
    ],
  });
}
