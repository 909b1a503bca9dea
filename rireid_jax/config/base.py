"""Every field that the project reads, with its default, its unit and its source."""

from ml_collections import ConfigDict

from rireid_jax.components import DATASETS
from rireid_jax.config.datasets import parse_dataset, recipe_of
from rireid_jax.config.stages import all_stages


def base_config(dataset: str = "pedestrians") -> ConfigDict:
    """The config of all stages on one data set: the paper's setting, or the two-core one.

    Args:
      dataset: a key of `DATASETS`, and after a slash one of its presets.

    Returns:
      A ConfigDict in which every field has its default.

    Raises:
      UserError: the data set is unknown, or the preset.
    """
    spec = DATASETS[parse_dataset(dataset)[0]]
    config = ConfigDict()
    config.dataset = parse_dataset(dataset)[0]
    config.seed = 0  # of initial parameters, order and augmentation
    config.run = ()  # names of the stages to run, in order; the last that is no baseline gives the results
    config.baseline = ""  # name of the stage whose figures are printed beside
    config.parallel = "pmap"  # or "shard_map": how the step is spread over devices
    # Of activations; "bfloat16" keeps parameters, statistics, heads and losses in float32.
    config.dtype = "float32"
    config.batch_size = 32  # images a step over all devices and processes, paper section 5.2

    config.data = ConfigDict()
    config.data.dir = "data"  # where built data sets go
    config.data.raw_dir = ""  # where the original files lie
    config.data.max_bad_images = 0  # unreadable raw images a build goes past before it gives up
    config.data.workers = 0 if spec.small else 8  # decoding processes; 0: the main process decodes
    config.data.image_size = spec.image_size  # network input, (height, width) pixels
    config.data.flip = 0.5  # probability of a horizontal flip
    config.data.crop = 0.5  # probability of enlarging by 1.125 and cropping back
    # Of a training image that is its own high-resolution original; its low twin is then made as it is read.
    config.data.degrade = spec.degrade  # probability; 0: never
    # Of one whose original is stored beside it; a new low twin is then made of that, its r uniform in [min_ratio, 1].
    config.data.degrade_targets = 0.0  # probability; 0: never
    config.data.min_ratio = 0.25  # the ratio is uniform in [min_ratio, 1]; the paper's least is 1/4
    # Probability that a random rectangle of what the extractor sees is erased (Zhong et al. 2020; there 0.5).
    config.data.erase = 0.0
    # K of batches of P identities with K images each (Hermans et al. 2017; Luo et al. 2019: 4); batch_size is P * K.
    config.data.images_per_identity = 0  # 0: every image once an epoch, in random order
    # Trials to train and score, each in a folder of its own; (): the identities are divided in one way.
    config.data.trials = tuple(range(spec.trials))
    config.data.build_threads = 0  # that decode while building; 0: as many as there are cores
    # Options of an Apache Beam pipeline that builds, such as "--runner=FlinkRunner ..."; "": this process does.
    config.data.beam = ""
    config.data.recipe = ConfigDict(recipe_of(dataset))

    config.natural_images = ConfigDict()  # FFSR is pre-trained on them; the paper: ImageNet
    config.natural_images.raw_dir = ""  # a folder of images, read recursively; "" draws dead leaves
    config.natural_images.count = 1500 if spec.small else 20_000  # images; from a folder at most
    config.natural_images.size = spec.image_size  # (height, width) pixels of a stored crop
    config.natural_images.min_ratio = (
        0.125  # the ratio is uniform in [min_ratio, 1], each time anew
    )
    config.natural_images.seed = 0

    config.model = ConfigDict()
    config.model.ffsr_width = 0.25 if spec.small else 1.0  # times the paper's hidden widths
    # CSR-GAN's generators: residual blocks and width of the publication (SRGAN), and its discriminators' width.
    config.model.generator_blocks = 2 if spec.small else 16
    config.model.generator_width = 0.125 if spec.small else 1.0
    config.model.discriminator_width = 0.0625 if spec.small else 1.0
    config.model.width = 0.25 if spec.small else 1.0  # times ResNet50's widths
    config.model.stage_sizes = (1, 1, 1, 1) if spec.small else (3, 4, 6, 3)  # bottlenecks a stage
    config.model.last_stride = 2  # of the last stage; 1 keeps a map twice as fine
    # Of ResNet50, SE-ResNet50 and RIFE, before the classifier: "fc" to the feature, paper section 5.2; or
    # "batch_norm", BNNeck (Luo et al. 2019), whose feature is as wide as the last map.
    config.model.neck = "fc"
    config.model.feature_dim = 256  # of f, paper section 5.2
    config.model.gate_dim = 64  # hidden width of a stream's weight head, paper section 5.2

    config.loss = ConfigDict()
    config.loss.beta = 0.1  # weight of the resolution losses in Eq. 9, paper section 5.2
    config.loss.mask_sigma = (1 / 3, 1 / 3)  # gaussian mask: fractions of height and width; ours
    config.loss.resolution_width = 0  # pixels of r = 1 in Eq. 7; 0: the data set's greatest width

    # Of CSR-GAN's generators, beside the error of pixels: `training.adversarial` has the terms.
    config.loss.adversarial_weight = 1e-3  # the authors' code's
    config.loss.content_weight = 0.01  # ours: its features are VGG19's, of another magnitude
    config.loss.unique_weight = 0.1  # ours, likewise

    config.loss.label_smoothing = (
        0.0  # epsilon in Eq. 8 (Szegedy et al. 2016; Luo et al. 2019: 0.1)
    )
    config.loss.triplet_weight = 0.0  # of the batch-hard triplet loss beside Eq. 8; 0: none
    config.loss.triplet_margin = 0.3  # in units of distance (Luo et al. 2019)

    config.init = ConfigDict()
    config.init.backbone = ""  # PyTorch file of a ResNet50, for the extractors that start afresh

    config.optim = ConfigDict()
    config.optim.momentum = 0.9  # the paper names plain SGD; these are the authors' code's
    # Adam's, for CSR-GAN's generators and discriminators; 1e-4 is the authors' code's
    config.optim.adversarial_rate = 1e-3 if spec.small else 1e-4
    config.optim.decay_factor = 0.1  # of the learning rate, paper section 5.2

    config.eval = ConfigDict()
    config.eval.batch_size = 128 if spec.small else 256  # images a step over all devices
    config.eval.every_epochs = 0  # evaluate during a stage too; 0: only at its end
    config.eval.bins = (0.0, 1 / 3, 2 / 3, 1.0)  # edges of the query resolution bins, in r

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 200 if spec.small else 1000  # also at every stage's end
    config.checkpoint.keep = 2  # latest checkpoints kept of a stage; its best is kept beside
    config.log_every = 20 if spec.small else 50  # steps

    config.stages = all_stages(small=spec.small)
    return config
