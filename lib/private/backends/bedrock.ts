import { Token } from 'aws-cdk-lib';
import type { IBackend } from '../../model/backend';
import { type BedrockBackendOptions, BedrockReasoning } from '../../model/bedrock';
import { TokenPrice } from '../../model/token-price';
import type { BackendBinding, BackendContext } from '../backend-binding';
import type { BedrockBackendConfig } from '../serving-config';
import { backendIdOf, commonConfig, DeployValues } from './base';
import { featuresOf } from './bedrock-families';
import { type BedrockTarget, guardrailStatement, invokeStatements, targetOf } from './bedrock-resources';

export class BedrockBackend implements IBackend {
  public readonly backendId: string;
  public readonly price: TokenPrice;

  /** @internal */
  public readonly _internet?: string;

  private readonly target: BedrockTarget;

  constructor(
    private readonly modelId: string,
    private readonly options: BedrockBackendOptions,
  ) {
    if (modelId.trim() === '') throw new Error('modelId must not be empty');
    if (options.region !== undefined && Token.isUnresolved(options.region)) {
      throw new Error("region must be known at synth, but it is a token: leave it out for the stack's own region");
    }
    // A VPC endpoint leads to Bedrock of its own region.
    if (options.region !== undefined) this._internet = `Bedrock in ${options.region}`;
    this.target = targetOf(modelId);
    const foundationModelId = options.foundationModelId ?? this.target.foundationModelId;
    if (foundationModelId === undefined && options.backendId === undefined) {
      throw new Error(`no backend id can be made from the model "${modelId}": pass backendId or foundationModelId`);
    }
    const named = Token.isUnresolved(modelId) || modelId.startsWith('arn:') ? (foundationModelId ?? '') : modelId;
    this.backendId = backendIdOf(options.backendId, 'bedrock', named);
    this.price = options.price ?? this.lookUpPrice(foundationModelId);
    commonConfig(this.backendId, this.price, options);
    // Thrown here, not at bind, so that the stack trace points to the user's line.
    this.statements();
  }

  /** @internal */
  public _bind(context: BackendContext): BackendBinding {
    const deploy = new DeployValues(this.backendId);
    for (const statement of this.statements()) context.grantee.grantPrincipal.addToPrincipalPolicy(statement);
    return { config: this.config(deploy), environment: deploy.environment };
  }

  private config(deploy: DeployValues): BedrockBackendConfig {
    const { options } = this;
    const features = featuresOf(options.foundationModelId ?? this.target.foundationModelId);
    const reasoning = options.reasoning ?? features.reasoning ?? BedrockReasoning.NONE;
    return {
      kind: 'bedrock',
      ...commonConfig(this.backendId, this.price, options),
      modelId: deploy.putIfToken('MODEL', this.modelId),
      ...(options.foundationModelId !== undefined && { foundationModelId: options.foundationModelId }),
      ...(options.region !== undefined && { region: options.region }),
      ...(options.guardrail && {
        guardrail: {
          id: deploy.putIfToken('GUARDRAIL', options.guardrail.guardrailId),
          version: deploy.putIfToken('GUARDRAIL_VERSION', options.guardrail.guardrailVersion ?? 'DRAFT'),
          ...(options.guardrail.streamMode && { streamProcessingMode: options.guardrail.streamMode }),
        },
      }),
      ...(options.serviceTier && { serviceTier: options.serviceTier }),
      promptCaching: options.promptCaching ?? false,
      jsonSchema: options.jsonSchema ?? features.jsonSchema,
      ...(reasoning !== BedrockReasoning.NONE && { reasoning }),
      images: options.images ?? features.images,
      tools: options.tools ?? features.tools,
    };
  }

  private statements() {
    const { region, guardrail, foundationModelId, profileRegions } = this.options;
    return [
      ...invokeStatements({ modelId: this.modelId, target: this.target, region, foundationModelId, profileRegions }),
      ...(guardrail ? [guardrailStatement(guardrail.guardrailId, region)] : []),
    ];
  }

  /** A profile's own price where the list has one (regional profiles may cost more), else its model's. */
  private lookUpPrice(foundationModelId: string | undefined): TokenPrice {
    if (Token.isUnresolved(this.modelId) || this.modelId.startsWith('arn:')) {
      return TokenPrice._lookup({ id: 'aws' }, foundationModelId ?? this.modelId);
    }
    return TokenPrice._lookup({ id: 'aws' }, this.modelId);
  }
}
