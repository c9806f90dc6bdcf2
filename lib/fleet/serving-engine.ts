import type { EngineBinding, EngineContext } from '../private/fleet/engine-binding';
import { OtherEngine } from '../private/fleet/engines/other';
import { SglangEngine } from '../private/fleet/engines/sglang';
import { TensorRtLlmEngine } from '../private/fleet/engines/tensor-rt-llm';
import { TgiEngine } from '../private/fleet/engines/tgi';
import { VllmEngine } from '../private/fleet/engines/vllm';
import type {
  OpenAiCompatibleEngineOptions,
  SglangOptions,
  TensorRtLlmOptions,
  TgiOptions,
  VllmOptions,
} from './engine-options';

/** What runs a model on GPUs. Made by `ServingEngine`'s factories. */
export interface IServingEngine {
  /** `vllm`, `sglang`, …. */
  readonly engineName: string;

  /** @internal */
  _bind(context: EngineContext): EngineBinding;
}

/** What runs a model on GPUs and speaks OpenAI's API. */
export abstract class ServingEngine {
  /** vLLM. */
  public static vllm(options: VllmOptions = {}): IServingEngine {
    return new VllmEngine(options);
  }

  /** SGLang. */
  public static sglang(options: SglangOptions = {}): IServingEngine {
    return new SglangEngine(options);
  }

  /** TensorRT-LLM, by `trtllm-serve`. Its image asks for NVIDIA's licence. It has no API key of its own. */
  public static tensorRtLlm(options: TensorRtLlmOptions = {}): IServingEngine {
    return new TensorRtLlmEngine(options);
  }

  /** Hugging Face's Text Generation Inference: in maintenance only since December 2025. */
  public static tgi(options: TgiOptions = {}): IServingEngine {
    return new TgiEngine(options);
  }

  /** Any other container with an OpenAI-compatible API. */
  public static openAiCompatible(options: OpenAiCompatibleEngineOptions): IServingEngine {
    return new OtherEngine(options);
  }

  private constructor() {}
}
