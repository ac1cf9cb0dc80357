"""What a member is told of, and in which words. Pure."""

from enum import StrEnum


class Alert(StrEnum):
    """Something that only the member themselves should have done."""

    NEW_DEVICE = "new_device"
    NEW_COUNTRY = "new_country"
    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    RECOVERY_CODE_USED = "recovery_code_used"
    SECOND_FACTOR_FAILED = "second_factor_failed"
    PASSWORD_CHANGED = "password_changed"
    FACTORS_RESET = "factors_reset"
    TOKEN_MADE = "token_made"


SUBJECTS: dict[Alert, str] = {
    Alert.NEW_DEVICE: "New sign-in to {workspace}",
    Alert.NEW_COUNTRY: "Sign-in to {workspace} from another country",
    Alert.FACTOR_ADDED: "A way to sign in to {workspace} was added",
    Alert.FACTOR_REMOVED: "A way to sign in to {workspace} was removed",
    Alert.RECOVERY_CODE_USED: "A recovery code was used in {workspace}",
    Alert.SECOND_FACTOR_FAILED: "Somebody knows your password for {workspace}",
    Alert.PASSWORD_CHANGED: "Your password for {workspace} was changed",
    Alert.FACTORS_RESET: "Your second factors in {workspace} were removed",
    Alert.TOKEN_MADE: "An API token was made in {workspace}",
}
EVENTS: dict[Alert, str] = {
    Alert.NEW_DEVICE: "Somebody signed in to your account in “{workspace}” from a device that you have not used there "
    "before.",
    Alert.NEW_COUNTRY: "Somebody signed in to your account in “{workspace}” from a country that you have not signed in "
    "from before.",
    Alert.FACTOR_ADDED: "A second factor was added to your account in “{workspace}”. Whoever has it can help "
    "themselves to your account.",
    Alert.FACTOR_REMOVED: "A second factor was removed from your account in “{workspace}”.",
    Alert.RECOVERY_CODE_USED: "A recovery code was used to sign in to your account in “{workspace}”. It does not work "
    "a second time.",
    Alert.SECOND_FACTOR_FAILED: "Somebody entered the right password of your account in “{workspace}”, and then a "
    "wrong second factor. They did not get in.",
    Alert.PASSWORD_CHANGED: "The password of your account in “{workspace}” was changed.",
    Alert.FACTORS_RESET: "All second factors of your account in “{workspace}” were removed, so that you can set up "
    "new ones.",
    Alert.TOKEN_MADE: "A token for the API was made with your account in “{workspace}”. A program that has it can do "
    "what the token permits.",
}
BOTH = (
    "Somebody signed in to your account in “{workspace}” from a device that you have not used there before, and from a "
    "country that you have not signed in from before."
)
