"""A verdict, its reason and its evidence: what `decide` gives back, and how it is worded in two languages."""

import collections
from typing import NamedTuple

AFFECTED, TO_CHECK, NOT_AFFECTED = "affected", "to_check", "not_affected"
# The gravest first: what one product of a publication says wins over what a lesser one does.
ORDER = (AFFECTED, TO_CHECK, NOT_AFFECTED)


class Reason(NamedTuple):
    """Why: a key of `TEXTS`, and what its words need."""

    key: str
    arguments: tuple[tuple[str, str], ...] = ()


class Verdict(NamedTuple):
    """`installed` is "" when no package of the product is; `evidence` holds lines as they were found."""

    verdict: str
    package: str
    installed: str
    reason: Reason
    evidence: tuple[str, ...] = ()


def reason(key: str, **arguments: object) -> Reason:
    return Reason(key, tuple((name, str(value)) for name, value in sorted(arguments.items())))


def reason_text(verdict: Verdict, language: str = "en") -> str:
    """The reason as a sentence, in French for "fr", else in English."""
    # A reason that an older version kept may miss a word, or have a key that is gone: a page must come out all the same.
    english, french = TEXTS.get(verdict.reason.key, ("", ""))
    words = collections.defaultdict(lambda: "…", verdict.reason.arguments)
    words.update(package=verdict.package, installed=verdict.installed)
    return (french if language == "fr" else english).format_map(words)


# key: (English, French). In French, a no-break space stands before a colon and inside « », a narrow one before ; ! ?
TEXTS: dict[str, tuple[str, str]] = {
    # not affected
    "absent": ("Not installed: {product}.", "Non installé : {product}."),
    "not_linux": ("No Linux package is known of: {product}.", "Aucun paquet Linux n’est connu pour : {product}."),
    "no_product": (
        "No package of this machine is a product that the publication names.",
        "Aucun paquet de cette machine n’est un produit que nomme la publication.",
    ),
    "platform": (
        "The publication speaks of {platform}, not of Linux.",
        "La publication vise {platform}, pas Linux.",
    ),
    "fixed": (
        "{package} {installed} holds the fix of every CVE id of the publication.",
        "{package} {installed} contient le correctif de toutes les CVE de la publication.",
    ),
    "answered": (
        "{package} {installed} was made for this publication: it holds the fix of {count} CVE ids of {total}, and no"
        " newer version names the others ({missing}).",
        "{package} {installed} répond à cette publication : il contient le correctif de {count} CVE sur {total}, et"
        " aucune version plus récente ne nomme les autres ({missing}).",
    ),
    "words": (
        "The package’s own changelog says that the fixes of {bound} were taken ({version}).",
        "Le journal du paquet dit que les correctifs de la version {bound} ont été repris ({version}).",
    ),
    "past": (
        "Version {upstream} is not older than the corrected version {bound}.",
        "La version {upstream} n’est pas antérieure à la version corrigée {bound}.",
    ),
    "below": (
        "Version {upstream} is older than the first affected version, {bound}.",
        "La version {upstream} précède la première version affectée, {bound}.",
    ),
    "other_branch": (
        "Version {upstream} is of none of the affected branches ({bound}).",
        "La version {upstream} n’appartient à aucune des branches affectées ({bound}).",
    ),
    "other_version": (
        "Only the versions {bound} are affected; {upstream} is none of them.",
        "Seules les versions {bound} sont affectées ; {upstream} n’en fait pas partie.",
    ),
    "kernel_absent": (
        "No kernel of the distribution is installed (a container, or a kernel from elsewhere).",
        "Aucun noyau de la distribution n’est installé (conteneur, ou noyau d’une autre provenance).",
    ),
    "kernel_fixed": (
        "The kernel {package} {installed} is not older than {bound}.",
        "Le noyau {package} {installed} n’est pas antérieur à {bound}.",
    ),
    "kernel_other_branch": (
        "The kernel {package} {installed} is of another branch than those named ({bound}).",
        "Le noyau {package} {installed} est d’une autre branche que celles nommées ({bound}).",
    ),
    "release_other": (
        "The publication speaks of {named}; this machine runs {system}.",
        "La publication vise {named} ; cette machine est sous {system}.",
    ),
    "unnamed_absent": (
        "The version named ({bound}) is no kernel’s, and no installed package is behind it.",
        "La version nommée ({bound}) n’est pas celle d’un noyau, et aucun paquet installé ne la précède.",
    ),
    # affected
    "bound": (
        "{package} {installed}, which does not come from the distribution, is older than {bound}.",
        "{package} {installed}, qui ne vient pas de la distribution, est antérieur à {bound}.",
    ),
    "named_version": (
        "{package} {installed}, which does not come from the distribution, is one of the affected versions.",
        "{package} {installed}, qui ne vient pas de la distribution, est une des versions affectées.",
    ),
    "tracker_behind": (
        "Debian fixed {cve} in {version}; {installed} is older.",
        "Debian a corrigé {cve} dans {version} ; {installed} est antérieur.",
    ),
    "tracker_open": (
        "Debian lists {cve} as not fixed in this suite.",
        "Debian indique que {cve} n’est pas corrigée dans cette version.",
    ),
    "notice_behind": (
        "The repositories correct {cve} in {version}, which is newer than {installed}.",
        "Les dépôts corrigent {cve} dans {version}, plus récent que {installed}.",
    ),
    "later": (
        "The distribution fixed {cve} in {version}, which is newer than {installed}.",
        "La distribution a corrigé {cve} dans {version}, plus récent que {installed}.",
    ),
    "later_words": (
        "The distribution took the fixes of {bound} in {version}, which is newer than {installed}.",
        "La distribution a repris les correctifs de {bound} dans {version}, plus récent que {installed}.",
    ),
    "frozen": (
        "{upstream} is inside the affected versions, and this build is of {day} at the latest, before the"
        " publication ({published}): it cannot hold a fix taken since.",
        "{upstream} fait partie des versions affectées, et ce paquet date au plus tard du {day}, avant la"
        " publication ({published}) : il ne peut pas contenir un correctif repris depuis.",
    ),
    "stale": (
        "{upstream} is inside the affected versions, and this machine’s own time-zone data shows that it was not"
        " updated after {day}, before the publication ({published}).",
        "{upstream} fait partie des versions affectées, et les données de fuseaux horaires de cette machine montrent"
        " qu’elle n’a pas été mise à jour après le {day}, avant la publication ({published}).",
    ),
    "rebased": (
        "{upstream} is older than {bound}, and this distribution corrects this package only by newer versions.",
        "{upstream} est antérieur à {bound}, et cette distribution ne corrige ce paquet que par de nouvelles versions.",
    ),
    "kernel_behind": (
        "The kernel {package} {installed} is older than {bound}.",
        "Le noyau {package} {installed} est antérieur à {bound}.",
    ),
    "kernel_reboot": (
        "The running kernel {package} {installed} is older than {bound}; a corrected one is installed: restart.",
        "Le noyau en cours {package} {installed} est antérieur à {bound} ; un noyau corrigé est installé : redémarrer.",
    ),
    # to check
    "backport": (
        "{upstream} is inside the affected versions, but the distribution may have corrected {package} without"
        " changing that number.",
        "{upstream} fait partie des versions affectées, mais la distribution a pu corriger {package} sans changer"
        " ce numéro.",
    ),
    "disagree": (
        "The publication begins at {bound}, after {upstream}; yet the distribution corrected {package} for it, later"
        " than {installed}.",
        "La publication commence à {bound}, après {upstream} ; la distribution a pourtant corrigé {package} à ce"
        " titre, après {installed}.",
    ),
    "other_major": (
        "{upstream} is older than {bound}, which is of another major version: {package} may have its own fix.",
        "{upstream} est antérieur à {bound}, qui est d’une autre version majeure : {package} peut avoir son propre"
        " correctif.",
    ),
    "partial": (
        "{package} {installed} holds the fix of {count} CVE ids of {total}; nothing is known of the others ({missing}).",
        "{package} {installed} contient le correctif de {count} CVE sur {total} ; rien n’est connu des autres"
        " ({missing}).",
    ),
    "no_bound": (
        "The publication gives no version to compare {package} {installed} with.",
        "La publication ne donne aucune version à laquelle comparer {package} {installed}.",
    ),
    "unpatched": (
        "The publication says only “without the latest fix”: see whether {package} {installed} has it.",
        "La publication dit seulement « sans le dernier correctif » : vérifier que {package} {installed} l’a.",
    ),
    "not_understood": (
        "The affected versions could not be read; {package} {installed} is installed.",
        "Les versions affectées n’ont pas pu être lues ; {package} {installed} est installé.",
    ),
    "doubtful": (
        "The affected versions contradict one another; {package} {installed} is installed.",
        "Les versions affectées se contredisent ; {package} {installed} est installé.",
    ),
    "at_bound": (
        "{upstream} is the very version the publication names as corrected ({bound}), but this package may be older than it.",
        "{upstream} est la version même que la publication donne pour corrigée ({bound}), mais ce paquet peut dater d’avant.",
    ),
    "narrow": (
        "The publication names the branches {bound} only; {upstream} is older, and may well share the fault.",
        "La publication ne nomme que les branches {bound} ; {upstream} est plus ancienne et peut avoir le même défaut.",
    ),
    "part": (
        "Only a part of {product} is installed ({package} {installed}): see whether the fault is in it.",
        "Seule une partie de {product} est installée ({package} {installed}) : vérifier que le défaut s’y trouve.",
    ),
    "related": (
        "{package} {installed} shares code with {product}, under other version numbers.",
        "{package} {installed} partage du code avec {product}, sous d’autres numéros de version.",
    ),
    "snap": (
        "{package} only brings a snap, which updates by itself: its version is not in the package list.",
        "{package} n’apporte qu’un snap, mis à jour de son côté : sa version n’est pas dans la liste des paquets.",
    ),
    "same_name": (
        "A package bears the name of the product ({package} {installed}); the table of products does not know it.",
        "Un paquet porte le nom du produit ({package} {installed}) ; la table des produits ne le connaît pas.",
    ),
    "titled": (
        "The publication lists no version; its title names {product}, which is installed ({package} {installed}).",
        "La publication ne liste aucune version ; son titre nomme {product}, qui est installé ({package} {installed}).",
    ),
    "release_named": (
        "{named} is named without a version; the kernel is {package} {installed}.",
        "{named} est nommé sans version ; le noyau est {package} {installed}.",
    ),
    "release_rebuild": (
        "{named} is named; {system} is rebuilt from it, and its kernel is {package} {installed}.",
        "{named} est nommé ; {system} en est une reconstruction, et son noyau est {package} {installed}.",
    ),
    "unnamed_package": (
        "The publication names no package, only its version {bound}: {package} {installed} may be the one.",
        "La publication ne nomme aucun paquet, seulement sa version {bound} : ce peut être {package} {installed}.",
    ),
    "kernel_uncertain": (
        "A line names kernels of this branch ({bound}) for another release; the kernel is {package} {installed}.",
        "Une ligne nomme des noyaux de cette branche ({bound}) pour une autre version ; le noyau est {package} {installed}.",
    ),
}
