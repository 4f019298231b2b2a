"""Networks as hub users know them: `save_pretrained`, `from_pretrained` and `push_to_hub`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, ModelHubMixin

from swtformer.hub.access import check_name, check_reachable, hub_errors, model_folder
from swtformer.hub.card import CARD, Subject, card_text
from swtformer.store.files import write_text


class HubModel(
    ModelHubMixin,
    ABC,
    library_name="swtformer",
    pipeline_tag="image-segmentation",
    tags=["weakly-supervised-semantic-segmentation", "class-activation-map", "swtformer"],
    model_card_template="---\n{{ card_data }}\n---\n\n{{ text }}",
):
    """A network with the mixin of huggingface_hub.

    The mixin would write the constructor's arguments into a config.json, without those that JSON cannot hold,
    and delete an older one before anything is saved. Here the files of `swtformer.store.models` are the only
    truth: nothing is noted when a network is built, and saving replaces files atomically.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A network that remembers no argument: the mixin's own `__new__` is passed over."""
        return object.__new__(cls)

    @classmethod
    @abstractmethod
    def _load(cls, folder: Path) -> Self:
        """The network of a model folder, in eval mode on the CPU."""

    @abstractmethod
    def _card_subject(self) -> Subject:
        """What the model card says of the network itself."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> Self:
        """Load a network in eval mode on the CPU.

        Args:
            pretrained_model_name_or_path: a model folder, a folder with a `model` folder (a run), or a hub id
                "owner/name".
            force_download: fetch files of the hub that are here already.
            token: for the hub; by default the one of `hf auth login`.
            cache_dir: folder for files of the hub.
            local_files_only: do not ask the hub.
            revision: branch, tag or commit on the hub.
            model_kwargs: there are none; a saved network is rebuilt from its config alone.

        Raises:
            CheckpointError: a file is missing, damaged, of a newer version, or holds another kind of network.
            SwtformerError: the hub cannot be asked or knows no such model.
            TypeError: there are `model_kwargs`.
        """
        if model_kwargs:
            raise TypeError(
                f"{cls.__name__}.from_pretrained takes no {', '.join(model_kwargs)}: a saved network is "
                "rebuilt from its config.json alone."
            )
        folder = model_folder(
            pretrained_model_name_or_path,
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            revision=revision,
        )
        return cls._load(folder)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write config.json, model.safetensors and, where there is none yet, a model card.

        Args:
            save_directory: folder; created where it is missing. Files are replaced atomically.
            config: not used, as in every class with the mixin that writes a config.json of its own.
            repo_id: "owner/name" on the hub; by default the name of the folder, its owner left open.
            push_to_hub: publish it as well.
            model_card_kwargs: of `generate_model_card`.
            push_to_hub_kwargs: of `push_to_hub`.

        Returns:
            Address of the commit on the hub; None where nothing was published.

        Raises:
            SwtformerError: as for `generate_model_card` and `push_to_hub`.
        """
        folder = Path(save_directory)
        about = {"name": repo_id or f"OWNER/{folder.resolve().name}", **(model_card_kwargs or {})}
        card = self.generate_model_card(**about)
        self._save_pretrained(folder)
        if not (folder / CARD).exists():
            write_text(folder / CARD, str(card))
        if not push_to_hub:
            return None
        return self.push_to_hub(
            repo_id or folder.resolve().name, model_card_kwargs=model_card_kwargs, **push_to_hub_kwargs
        )

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Publish the network with a model card.

        Args:
            repo_id: "owner/name"; made on the hub where it is missing.
            options: of `ModelHubMixin.push_to_hub`: private, token, branch, create_pr, commit_message,
                model_card_kwargs (of `generate_model_card`) and others.

        Returns:
            Address of the commit.

        Raises:
            SwtformerError: the name is none, or the hub cannot be reached or refuses.
        """
        check_name(repo_id)
        about = {"name": repo_id, **(options.pop("model_card_kwargs", None) or {})}
        options.setdefault("commit_message", "Publish a swtformer model")
        what = f"{repo_id} cannot be published"
        check_reachable(what)
        with hub_errors(what):
            return super().push_to_hub(repo_id, model_card_kwargs=about, **options)

    def generate_model_card(
        self, *, name: str = "OWNER/NAME", license: str | None = None, run: str | Path | None = None
    ) -> ModelCard:
        """The model card.

        Args:
            name: "owner/name" on the hub.
            license: identifier of the weights' licence ("apache-2.0"); None says that there is none.
            run: the run that trained the network; data, settings and scores come from it. A network does not
                remember where it was loaded from, as it may have been trained on since.

        Raises:
            SwtformerError: `run` is no run.
        """
        card = super().generate_model_card(
            text=card_text(self._card_subject(), name=name, license=license, run=run)
        )
        card.data["license"] = license
        return card
