import { Token } from 'aws-cdk-lib';
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { WeightsBinding } from '../private/fleet/engine-binding';
import { knownSize } from '../private/fleet/model-sizes';
import { acknowledgeWildcard } from '../private/fleet/nag-reasons';
import { requireInteger, requireNumber } from '../private/validation';

/** How large a model is: what decides which GPU it fits on. */
export interface ModelSize {
  /** Parameters in billions, all of them: also those of experts that a token doesn't use. */
  readonly parametersBillions: number;

  /**
   * KiB that one token takes in the KV cache with 16-bit numbers: 2 × layers × KV heads × head dimension × 2 bytes.
   *
   * @default - the KV cache isn't part of the check
   */
  readonly kvCacheKiBPerToken?: number;

  /**
   * Bits of a parameter as the engine holds it, for weights that are quantized already: 4.5 for most of AWQ and GPTQ, 8
   * for fp8.
   *
   * @default - by the engine's `quantization`, else 16
   */
  readonly bitsPerParameter?: number;

  /**
   * Tokens that the model takes at most, `max_position_embeddings` of its `config.json`.
   *
   * @default - a context that is too long isn't found at synth
   */
  readonly maxContextLength?: number;
}

/** Options of weights in a repository of Hugging Face. */
export interface HuggingFaceOptions {
  /**
   * The secret that holds an access token, for repositories that ask for one.
   *
   * @default - none
   */
  readonly token?: ISecret;

  /**
   * The field of the secret that has the token, for a secret of keys and values, as the console makes them.
   *
   * @default - the secret's whole text is the token
   */
  readonly tokenField?: string;

  /**
   * A branch, a tag or a commit. A commit keeps tomorrow's tasks equal to today's.
   *
   * @default - the main branch
   */
  readonly revision?: string;

  /**
   * How large the model is.
   *
   * @default - known for some models; else the fit isn't checked
   */
  readonly size?: ModelSize;
}

/** Options of weights in a bucket. */
export interface S3WeightsOptions {
  /**
   * How large the model is.
   *
   * @default - the fit isn't checked
   */
  readonly size?: ModelSize;
}

/** Where a model's weights come from. Made by `ModelWeights`' factories. */
export interface IModelWeights {
  /** @internal */
  _bind(): WeightsBinding;
}

/** Where a model's weights come from. */
export abstract class ModelWeights {
  /**
   * A repository of Hugging Face. Tasks download it when they start, into a cache that later tasks on the same instance
   * find; the fleet's VPC needs a way to the internet.
   *
   * @param id the repository: `Qwen/Qwen3-8B`
   */
  public static huggingFace(id: string, options: HuggingFaceOptions = {}): IModelWeights {
    if (!/^[\w.-]+\/[\w.-]+$/.test(id)) {
      throw new Error(`a repository of Hugging Face must be owner and name ("Qwen/Qwen3-8B"), got "${id}"`);
    }
    if (options.revision !== undefined && !/^[\w./-]+$/.test(options.revision)) {
      throw new Error(`revision must be a branch, a tag or a commit, got "${options.revision}"`);
    }
    if (options.tokenField !== undefined && options.token === undefined) {
      throw new Error('tokenField needs token: the secret that has it');
    }
    requireSizeOf(options.size);
    return {
      _bind: () => ({
        source: { type: 'hugging-face', repository: id, revision: options.revision },
        modelName: id,
        token: options.token,
        tokenField: options.tokenField,
        size: options.size ?? knownSize(id),
        grantRead: () => {},
      }),
    };
  }

  /**
   * A folder of a bucket with the files of a repository (`config.json`, tokenizer, `*.safetensors`). Engines that can
   * stream it into the GPU's memory do; others copy it to the instance's disk first.
   *
   * @param prefix the folder: `models/qwen3-8b`
   */
  public static s3(bucket: IBucket, prefix: string, options: S3WeightsOptions = {}): IModelWeights {
    const folder = prefix.replace(/^\/+|\/+$/g, '');
    if (Token.isUnresolved(prefix) || !/^(?!\.\.?(\/|$))[\w.-]+(\/(?!\.\.?(\/|$))[\w.-]+)*$/.test(folder)) {
      throw new Error(`prefix must be a folder of the bucket ("models/qwen3-8b"), known at synth, got "${prefix}"`);
    }
    requireSizeOf(options.size);
    return {
      _bind: () => ({
        source: { type: 's3', uri: bucket.s3UrlForObject(folder) },
        modelName: folder.split('/').at(-1) ?? folder,
        size: options.size,
        grantRead: (grantee) => grantRead(grantee, bucket, folder),
      }),
    };
  }

  private constructor() {}
}

/** The folder and nothing beside it. */
function grantRead(grantee: IRole, bucket: IBucket, folder: string): void {
  const objects = bucket.arnForObjects(`${folder}/*`);
  grantee.addToPrincipalPolicy(new PolicyStatement({ actions: ['s3:GetObject'], resources: [objects] }));
  grantee.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ['s3:ListBucket'],
      resources: [bucket.bucketArn],
      conditions: { StringLike: { 's3:prefix': [folder, `${folder}/*`] } },
    }),
  );
  bucket.encryptionKey?.grantDecrypt(grantee);
  acknowledgeWildcard(grantee, objects, 'Read only, and the folder of the weights only, whose files have any names.');
}

function requireSizeOf(size: ModelSize | undefined): void {
  requireNumber('parametersBillions', size?.parametersBillions, 0.001);
  requireInteger('kvCacheKiBPerToken', size?.kvCacheKiBPerToken, 1);
  requireNumber('bitsPerParameter', size?.bitsPerParameter, 1, 32);
  requireInteger('maxContextLength', size?.maxContextLength, 1);
}
