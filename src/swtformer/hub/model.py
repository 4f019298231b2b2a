"""Networks as users of the hub know them: `from_pretrained`, `save_pretrained` and `push_to_hub`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from huggingface_hub import HfApi, constants
from torch import nn

from swtformer.backbones.weights import answers
from swtformer.errors import SwtformerError
from swtformer.hub.access import find_model, hub_errors, require_hub_id
from swtformer.hub.card import card_text
from swtformer.settings import ImageSettings, Section
from swtformer.store.files import write_text
from swtformer.store.models import CARD, Kind, write_model_folder


class HubModel(nn.Module, ABC):
    """A network that can be saved, published and loaded.

    Attributes:
        kind: "cam" for a model that makes maps, "segmentation" for a segmentation network.
        classes: class names in order.
        images: how images become the pixels that it was trained on.
    """

    kind: ClassVar[Kind]
    classes: tuple[str, ...]
    images: ImageSettings = ImageSettings()

    @classmethod
    @abstractmethod
    def read(cls, folder: Path) -> Self:
        """The network in a model folder, in eval mode on the CPU.

        Raises:
            CheckpointError: a file is missing, damaged, of a newer version, or holds another network.
        """

    @abstractmethod
    def config(self) -> Section:
        """What the network is rebuilt from, with its weights and classes; nothing of the machine is in it."""

    @abstractmethod
    def task(self) -> str:
        """What the network does, in a sentence or two of its model card."""

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], **download: Any) -> Self:
        """Load a network in eval mode on the CPU.

        Args:
            source: a run, a model folder, or a hub id "owner/name".
            download: options of `huggingface_hub.snapshot_download`: revision, token and others.

        Raises:
            CheckpointError: there is no such model, it is of the other kind, or it is damaged.
            SwtformerError: the hub cannot be reached or has no such model.
        """
        return cls.read(find_model(source, cls.kind, **download).folder)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write config.json and model.safetensors, without a model card.

        Args:
            folder: created if it is missing; its files are replaced atomically.

        Returns:
            The folder.
        """
        return write_model_folder(
            folder,
            self,
            kind=self.kind,
            settings=self.config(),
            classes=self.classes,
            images=self.images,
        )

    def save_pretrained(self, folder: str | os.PathLike[str], **about: Any) -> Path:
        """Write config.json, model.safetensors and, unless there is one, a model card.

        Args:
            folder: created if it is missing; its files are replaced atomically.
            about: name, license and run, as for `swtformer.hub.card.card_text`. A network does not remember
                its run, since it may have been trained further.

        Returns:
            The folder.

        Raises:
            SwtformerError: the named run is not a run, or it trained another network.
        """
        card = card_text(self, **about)
        folder = self.write(folder)
        if not (folder / CARD).exists():
            write_text(folder / CARD, card)
        return folder

    def push_to_hub(
        self, name: str, *, private: bool | None = None, token: str | None = None, **about: Any
    ) -> str:
        """Publish the network with a model card.

        Args:
            name: "owner/name"; created on the hub if it is missing.
            private: make a new repository private; None leaves it to the owner's default.
            token: for the hub; None uses the one of `hf auth login`.
            about: license and run, as for `save_pretrained`.

        Returns:
            Address of the commit.

        Raises:
            SwtformerError: `name` is not a hub id, or the hub cannot be reached or refuses.
        """
        require_hub_id(name)
        failure = f"{name} cannot be published"
        # huggingface_hub would wait for minutes.
        if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
            raise SwtformerError(f"{failure}: {constants.ENDPOINT} cannot be reached from this machine.")
        with TemporaryDirectory() as folder, hub_errors(failure):
            self.save_pretrained(folder, name=name, **about)
            api = HfApi(token=token)
            api.create_repo(name, private=private, exist_ok=True)
            return api.upload_folder(
                repo_id=name, folder_path=folder, commit_message="Publish a swtformer model"
            )
