/// The header of a safetensors file, as JSON.
pub fn header(file: &[u8]) -> &str {
    std::str::from_utf8(&file[8..end(file)]).unwrap()
}

/// The file with another header.
pub fn with_header(file: &[u8], header: &str) -> Vec<u8> {
    let mut header = header.as_bytes().to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], &header, &file[end(file)..]].concat()
}

fn end(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}
